"""Where the state of a response lies, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.affinity import ResponseAffinity


def test_a_response_is_remembered_with_its_upstream():
    """And another that nobody gave is not."""
    affinity = ResponseAffinity()
    affinity.remember("resp_1", "chat")
    assert affinity.upstreams.get("resp_1") == "chat"
    assert affinity.upstreams.get("resp_2") is None


def test_what_policies_see_cannot_be_written():
    """It is a view: what is remembered later is seen in it too."""
    affinity = ResponseAffinity()
    view = affinity.upstreams
    affinity.remember("resp_1", "chat")
    assert view["resp_1"] == "chat"
    with pytest.raises(TypeError):
        view["resp_1"] = "other"


@given(st.integers(1, 5), st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_the_oldest_are_forgotten(capacity, ids):
    """As many as there is room for are kept: those that were remembered last, each with its last upstream."""
    affinity = ResponseAffinity(capacity)
    for number, response_id in enumerate(ids):
        affinity.remember(response_id, str(number))
    latest = {response_id: str(number) for number, response_id in enumerate(ids)}
    kept = sorted(latest, key=lambda response_id: int(latest[response_id]))[-capacity:]
    assert dict(affinity.upstreams) == {response_id: latest[response_id] for response_id in kept}


def test_the_server_is_kept_where_an_upstream_has_several():
    """Beside the upstream, and forgotten with it."""
    affinity = ResponseAffinity(1)
    affinity.remember("a", "chat", "chat#2")
    assert (affinity.upstreams["a"], affinity.servers["a"]) == ("chat", "chat#2")
    affinity.remember("b", "chat", "chat")
    assert dict(affinity.servers) == {}
