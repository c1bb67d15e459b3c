"""What workers remember together."""

from jevons.policies.budget import Budget, Window
from jevons.proxy.workers.memories import SharedAffinity, SharedBalances, SharedSessions, Uses

HOUR = ("all/", Window.HOUR)


def test_a_response_is_known_to_all():
    """Whoever served it tells; who hears it does not tell again."""
    told = []
    mine = SharedAffinity(lambda *words: told.append(words))
    theirs = SharedAffinity(lambda *words: told.append(words))
    mine.remember("resp_1", "chat", "chat#2")
    theirs.hear(*told[0])
    assert theirs.upstreams == {"resp_1": "chat"}
    assert theirs.servers == {"resp_1": "chat#2"}
    assert len(told) == 1


def test_a_conversation_keeps_its_tier_everywhere():
    """Likewise."""
    told = []
    mine, theirs = SharedSessions(told.append), SharedSessions(told.append)
    mine.remember(b"key")
    theirs.hear(told[0])
    assert theirs.reasons(b"key", 60.0)
    assert told == [b"key"]


def test_what_others_use_counts():
    """In the window that it was used in; changes are told once."""
    now = [7200.0]
    mine = SharedBalances(lambda: now[0])
    mine.reserve("r", [HOUR], 10.0)
    assert mine.take_changes() == {"all/": (2, 0.0, 10.0)}
    assert mine.take_changes() == {}
    mine.hear({"all/": (2, 5.0)})
    assert mine.used(*HOUR) == 15.0
    assert mine.holders(Budget("all", 100.0, window=Window.HOUR)) == ["all/"]
    mine.hear({"all/": (2, 5.0), "all/x": (2, 1.0), "all/old": (1, 1.0)})
    assert mine.holders(Budget("all", 100.0, window=Window.HOUR)) == ["all/", "all/x"]
    mine.settle("r", 8.0)
    assert mine.take_changes() == {"all/": (2, 8.0, 0.0)}
    now[0] += 3600.0
    assert mine.used(*HOUR) == 0.0


def test_the_owner_s_sum():
    """Of the latest window; what a dead worker had reserved is charged as reserved, also to the one that takes its place."""
    uses = Uses()
    uses.take(0, {"all/": (2, 1.0, 2.0)})
    uses.take(1, {"all/": (2, 10.0, 0.0)})
    uses.take(2, {"all/": (1, 100.0, 0.0)})
    assert uses.for_member(0) == {"all/": (2, 10.0)}
    assert uses.for_member(3) == uses.total() == {"all/": (2, 13.0)}
    uses.leave(0)
    assert uses.for_member(0) == {"all/": (2, 13.0)}
    uses.take(1, {"all/": (3, 4.0, 0.0)})
    assert uses.for_member(0) == {"all/": (3, 4.0)}
    uses.leave(1)
    uses.leave(1)
    assert uses.for_member(0) == {"all/": (3, 4.0)}
