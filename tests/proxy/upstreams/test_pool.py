"""Which idle connection is taken: pure, against the plain rule."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.upstreams.pool import Pool

KEEPALIVE = 4.0


@dataclass(eq=False)
class Connection:
    """One that a test can close."""

    idle_since: float = 0.0
    is_open: bool = True


def test_the_last_is_taken_first():
    """So that the others can grow old."""
    pool = Pool(KEEPALIVE)
    first, second = Connection(), Connection()
    assert pool.put(first, 0.0) == pool.put(second, 1.0) == []
    assert [pool.take(2.0), pool.take(2.0), pool.take(2.0)] == [second, first, None]


def test_what_is_closed_is_passed_over():
    """The server closed it while it was idle."""
    pool = Pool(KEEPALIVE)
    first, second = Connection(), Connection()
    pool.put(first, 0.0)
    pool.put(second, 0.0)
    second.is_open = False
    assert pool.take(1.0) is first
    assert len(pool) == 0


def test_what_is_old_is_not_taken_and_handed_back_to_be_closed():
    """Four seconds are still young, more are not; the next that is put sweeps."""
    pool = Pool(KEEPALIVE)
    old, young = Connection(), Connection()
    pool.put(old, 0.0)
    assert pool.take(KEEPALIVE + 0.1) is None
    assert pool.put(young, KEEPALIVE + 0.2) == [old]
    assert pool.take(2 * KEEPALIVE + 0.2) is young


def test_clear_gives_all_back():
    """To be closed."""
    pool = Pool(KEEPALIVE)
    all_of_them = [Connection(), Connection()]
    for connection in all_of_them:
        pool.put(connection, 0.0)
    assert pool.clear() == all_of_them
    assert len(pool) == 0


STEPS = st.lists(st.tuples(st.sampled_from(["new", "take", "put", "close"]), st.floats(0, 3), st.integers(0, 9)), max_size=60)


@given(STEPS)
def test_any_history(steps):
    """Taken is only what is open, young and in nobody else's hands; swept is only what is closed or old; nothing gets lost."""
    pool, now = Pool(KEEPALIVE), 0.0
    idle, taken = [], []
    for step, seconds, number in steps:
        now += seconds
        if step == "new":
            taken.append(Connection())
        elif step == "take":
            connection = pool.take(now)
            usable = [one for one in idle if one.is_open and now - one.idle_since <= KEEPALIVE]
            assert connection is (usable[-1] if usable else None)
            if connection is not None:
                idle.remove(connection)
                taken.append(connection)
        elif step == "put" and taken:
            connection = taken.pop(number % len(taken))
            idle.append(connection)
            for swept in pool.put(connection, now):
                assert not swept.is_open or now - swept.idle_since > KEEPALIVE
                idle.remove(swept)
        elif step == "close" and idle:
            idle[number % len(idle)].is_open = False
        assert {id(one) for one in idle if one.is_open} <= {id(one) for one in pool._idle} <= {id(one) for one in idle}
