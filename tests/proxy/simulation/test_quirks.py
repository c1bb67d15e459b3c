"""Quirks: none unless asked for, and none that changes under a running request."""

from dataclasses import FrozenInstanceError

import pytest
from simulated_upstream import chat

from jevons.proxy.simulation.quirks import Hang, Quirks, ReasoningCount, StreamUsage

pytest_plugins = ["simulation_fixture"]


def test_quirks_are_off_unless_asked_for():
    """The default is a server that answers, ends its streams and heeds its switches."""
    quirks = Quirks()
    assert quirks.sends_done
    assert quirks.hang is Hang.NEVER
    assert quirks.stream_usage is StreamUsage.ASKED
    assert quirks.reasoning_count is ReasoningCount.DETAILS
    assert not quirks.ignores_thinking_switch
    assert quirks.dies_after_tokens is quirks.error_status is None


def test_quirks_cannot_change_under_a_request():
    """They are replaced as a whole, hence a request keeps those it began with."""
    with pytest.raises(FrozenInstanceError):
        Quirks().sends_done = False


async def test_replaced_quirks_hold_for_the_next_request(start_upstream):
    """The same server ends its stream, and then does not."""
    upstream = await start_upstream()
    ends = []
    for quirks in (Quirks(), Quirks(sends_done=False)):
        upstream.server.quirks = quirks
        events = await upstream.stream("/v1/chat/completions", chat(max_tokens=2))
        ends.append(events[-1][1] == "[DONE]")
    assert ends == [True, False]
