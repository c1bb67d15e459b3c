"""Who gets a seat at which server, and what leaving it tells of that server."""

import asyncio

import pytest

from jevons.proxy.capacity import Capacity
from jevons.proxy.exchange import Endpoint, Outcome, Request, Target, Upstream
from jevons.proxy.upstreams.breaker import BreakerLimits, BreakerState
from jevons.proxy.upstreams.fleet import Fleet, servers_of, whole_seconds
from jevons.proxy.upstreams.retries import RetryBudget
from jevons.proxy.wire.parsing import JsonBody

REQUEST = Request("req", Endpoint.CHAT, JsonBody({}), "m", 0.0)


class World:
    """A fleet, its clock, and what the cheap questions have found."""

    def __init__(self, *upstreams, failures=2):
        self.now = 50.0
        self.problems = {}
        self.upstreams = upstreams
        self.fleet = Fleet(
            upstreams, problems=self.problems, clock=lambda: self.now, limits=BreakerLimits(failures), budget=RetryBudget()
        )

    def sit(self, number=0, *, tried=(), well=True):
        """A seat at an upstream."""
        upstream = self.upstreams[number]
        return self.fleet.group(upstream).sit(Target(upstream), REQUEST, tried, well=well)

    def fail(self, times=2, status=0):
        """Fail so often."""
        for _ in range(times):
            seat = self.sit()
            seat.heard(status, {})
            seat.leave(Outcome.UPSTREAM_ERROR)


def upstream(name="chat", **capacity):
    """An upstream of this capacity."""
    return Upstream(name, "http://x/v1", "m", capacity=Capacity(**capacity))


def replicas(count, **capacity):
    """One of so many servers."""
    return upstream(urls=tuple(f"http://x{number}/v1" for number in range(count)), **capacity)


def test_replicas_have_names_and_addresses_of_their_own():
    """`chat#1`, `chat#2`; one that has but one server is its own."""
    one, two = upstream(), replicas(2)
    assert servers_of(one) == (one,)
    assert [(server.name, server.base_url) for server in servers_of(two)] == [
        ("chat#1", "http://x0/v1"),
        ("chat#2", "http://x1/v1"),
    ]


def test_replicas_take_turns_and_are_limited_each():
    """Least outstanding first, and none gets more than `at_once`."""
    world = World(replicas(2, at_once=2))
    seats = [world.sit() for _ in range(4)]
    assert sorted(seat.server.name for seat in seats) == ["chat#1", "chat#1", "chat#2", "chat#2"]
    assert world.sit() is None
    seats[0].leave(Outcome.OK)
    assert world.sit().server is seats[0].server


def test_a_breaker_opens_by_failures_and_lets_the_others_serve():
    """A replica that fails is left alone; the other gets everything."""
    world = World(replicas(2))
    bad = world.sit()
    bad.leave(Outcome.UPSTREAM_ERROR)
    while bad.station.breaker.state is BreakerState.CLOSED:
        world.now += 1000.0  # what failed long ago weighs nothing
        seat = world.sit()
        seat.leave(Outcome.UPSTREAM_ERROR if seat.station is bad.station else Outcome.OK)
    assert {world.sit().server.name for _ in range(5)} == {"chat#1", "chat#2"} - {bad.server.name}
    [ejected] = [state for state in world.fleet.servers() if state.ejected]
    assert (ejected.server, ejected.ejected, ejected.ejections) == (bad.server.name, 1.0, 1)


@pytest.mark.parametrize("status", [400, 404, 422, 429])
def test_a_clients_errors_never_open_it(status):
    """Whatever they are called by whoever relays them."""
    world = World(upstream())
    for outcome in (Outcome.CLIENT_ERROR, Outcome.UPSTREAM_ERROR):
        for _ in range(9):
            seat = world.sit()
            seat.heard(status, {})
            seat.leave(outcome)
    assert world.sit() is not None
    assert [state.ejections for state in world.fleet.servers()] == [0]


def test_a_server_that_says_when_to_come_again_is_not_failing():
    """A 503 with Retry-After is no failure, and others are preferred until then."""
    world = World(upstream())
    for _ in range(9):
        seat = world.sit() or world.sit(well=False)
        seat.heard(503, {"retry-after": "7"})
        assert seat.is_busy
        seat.leave(Outcome.UPSTREAM_ERROR)
    assert [state.ejections for state in world.fleet.servers()] == [0]
    assert world.sit() is None
    assert world.sit(well=False) is not None
    world.now += 7.0
    assert world.sit() is not None


def test_a_lone_server_that_answers_with_errors_is_still_asked():
    """Its own words are better than ours; one that does not answer at all is not asked."""
    world = World(upstream())
    world.fail(status=500)
    assert world.sit() is None
    assert world.sit(well=False) is not None
    world = World(upstream())
    world.fail()
    assert world.sit(well=False) is None


def test_the_cheap_questions_speak_against_a_server():
    """One that is down by them is asked only where nobody else is; being up again, its trial may come."""
    world = World(upstream())
    world.problems["chat"] = "Connection refused"
    assert world.sit() is None
    assert world.sit(well=False) is not None
    world.problems["chat"] = None
    world.fail()
    assert world.sit() is None
    world.fleet.is_up_again("chat")
    assert world.sit().is_trial


def test_a_cancelled_trial_is_none():
    """The client left: the next request is the trial. A reply that begins lets the others pass."""
    world = World(upstream())
    world.fail()
    world.now += 5.0
    trial = world.sit()
    assert trial.is_trial
    assert world.sit() is None
    trial.leave(Outcome.CANCELLED)
    trial = world.sit()
    assert trial.is_trial
    trial.heard(200, {})
    assert world.sit() is not None


async def test_a_free_place_goes_to_the_line_and_a_dead_server_dismisses_it():
    """Who waits gets the place; where nobody is well any more, waiting is pointless."""
    world = World(upstream(at_once=1, queue_requests=5), failures=1)
    group = world.fleet.group(world.upstreams[0])
    seat = world.sit()

    def wait():
        return asyncio.create_task(group.line.wait(world.sit, lambda given: given.leave(Outcome.CANCELLED)))

    waiting = [wait(), wait()]
    await asyncio.sleep(0)
    assert [(line.upstream, line.waiting) for line in world.fleet.lines()] == [("chat", 2)]
    seat.leave(Outcome.OK)
    second = await waiting[0]
    assert second.server.name == "chat"
    second.leave(Outcome.UPSTREAM_ERROR)
    assert await waiting[1] is None


async def test_another_configuration_keeps_what_is_known():
    """Breakers and lines stay with their names; a larger limit is worth waiting for; what is gone dismisses its line."""
    world = World(upstream(at_once=1), upstream("other", at_once=1))
    world.fail()
    first, other = (world.fleet.group(each) for each in world.upstreams)
    seats = [world.sit(1)]
    waiting = asyncio.create_task(other.line.wait(lambda: None, lambda given: given.leave(Outcome.CANCELLED)))
    await asyncio.sleep(0)
    world.fleet.use([upstream(at_once=2)])
    assert await waiting is None
    again = world.fleet.group(world.upstreams[0])
    assert again is not first
    assert again.stations == first.stations
    assert world.sit() is None
    seats[0].leave(Outcome.OK)
    assert world.sit(1) is not None  # a request that was on its way to what is gone still gets there


def test_when_to_come_again():
    """By what answers take and who is in line; whole seconds, at least one and at most a minute."""
    world = World(upstream(at_once=2))
    group = world.fleet.group(world.upstreams[0])
    assert group.retry_after == "1"
    group.answers.seconds = 9.0
    assert group.retry_after == "5"
    assert [whole_seconds(seconds) for seconds in (0.0, 1.1, 1e9)] == ["1", "2", "60"]
