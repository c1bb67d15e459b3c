"""Tests of what the live page is fed with."""

from __future__ import annotations

import asyncio
import json
from itertools import count

import pytest

from jevons.exporters.live.feed import HISTORY_SECONDS, REQUESTS_KEPT, LiveFeed, LiveSources
from jevons.proxy.exchange import Endpoint, Energy, Outcome, Plan, Prompt, Reason, Record
from jevons.proxy.metering_state import DeviceState, MeteringState

ACCOUNTS = {"attributed": 6.0, "idle": 3.0, "bypass": 0.0, "unresolved": 1.0}


def device(name, watts):
    return DeviceState(name, f"{name} (simulated)", watts is not None, None, watts, 10.0, 10.0, ACCOUNTS)


def record(place):
    return Record(
        f"r{place}",
        "alice",
        Endpoint.CHAT,
        100.0 + place,
        upstream="chat",
        plan=Plan(reasons=(Reason("rules", "proofs", "reasoning"),)),
        energy=Energy(joules=2.0),
        outcome=Outcome.OK,
    )


def make_feed(*devices, **sources):
    ticks = count(1000.0)
    state = MeteringState(devices=tuple(devices))
    return LiveFeed(LiveSources(metering=lambda: state, in_flight=lambda: 3, version="1.2", **sources), clock=lambda: next(ticks))


def test_a_reading_sums_the_devices():
    """Joules by account since the start, the watts of those that can be read, and who waits."""
    feed = make_feed(device("a", 100.0), device("b", 50.0), device("c", None))
    feed.read()
    assert feed.state()["readings"] == [
        {
            "at": 1000.0,
            "joules": {"attributed": 18.0, "idle": 9.0, "bypass": 0.0, "unresolved": 3.0},
            "watts": 150.0,
            "in_flight": 3,
        }
    ]


def test_power_that_nobody_reads_is_null():
    """And not 0."""
    feed = make_feed(device("a", None))
    feed.read()
    assert feed.state()["readings"][0]["watts"] is None


def test_a_request_says_what_it_cost_and_why_it_went_there():
    """Nothing of its prompt is there to be shown."""
    feed = make_feed()
    feed.export(record(1))
    [shown] = feed.state()["requests"]
    assert shown["energy"]["joules"] == 2.0
    assert shown["route"] == "rules:proofs;to=reasoning"
    assert shown["reasons"] == ["rules:proofs;to=reasoning"]
    assert shown["outcome"] == "ok"
    assert shown["is_holdout"] is False
    assert not {"prompt", "messages", "content"} & set(shown)
    assert set(shown["tokens"]) == {"prompt", "cached", "reasoning", "completion"}
    assert Prompt not in map(type, shown.values())


def test_memory_is_bounded():
    """A quarter of an hour of readings and the last requests."""
    feed = make_feed()
    for place in range(HISTORY_SECONDS + 50):
        feed.read()
        feed.export(record(place))
    state = feed.state()
    assert len(state["readings"]) == HISTORY_SECONDS
    last = HISTORY_SECONDS + 50
    assert [each["id"] for each in state["requests"]] == [f"r{place}" for place in range(last - REQUESTS_KEPT, last)]
    assert len(state["requests"]) == REQUESTS_KEPT


async def test_watchers_get_the_state_and_then_what_is_new():
    """Each request once, in order, also where several end between two readings."""
    feed = make_feed(device("a", 100.0), budgets=lambda: [{"name": "alice", "used_joules": 1.0}])
    feed.export(record(0))
    events = feed.events()
    first = await anext(events)
    assert first["kind"] == "state"
    assert [each["id"] for each in first["requests"]] == ["r0"]
    assert first["budgets"] == [{"name": "alice", "used_joules": 1.0}]
    for places in ([], [1, 2], [3]):
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        for place in places:
            feed.export(record(place))
        feed.read()
        event = await waiting
        assert event["kind"] == "tick"
        assert [each["id"] for each in event["requests"]] == [f"r{place}" for place in places]
    assert json.loads(json.dumps(event))["reading"]["watts"] == 100.0


async def test_it_reads_while_it_runs():
    """A reading at once, and no more after it was cancelled."""
    feed = make_feed()
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(feed.state()["readings"]) == 1
