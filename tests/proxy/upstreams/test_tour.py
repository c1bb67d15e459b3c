"""Where a request goes after a failure, and where it may not go."""

import asyncio

import pytest

from jevons.proxy.capacity import Capacity
from jevons.proxy.errors import UpstreamBusy, UpstreamError, UpstreamRefused, UpstreamUnavailable, WaitedInVain
from jevons.proxy.exchange import Endpoint, Outcome, Request, Target, Upstream
from jevons.proxy.upstreams.breaker import BreakerLimits
from jevons.proxy.upstreams.fleet import Fleet
from jevons.proxy.upstreams.retries import RetryBudget
from jevons.proxy.upstreams.tour import Tour
from jevons.proxy.wire.parsing import JsonBody

REQUEST = Request("req", Endpoint.CHAT, JsonBody({}), "m", 0.0)


class World:
    """Three upstreams, one request each."""

    def __init__(self, *, share=0.1, problems=(), failures=1, **capacity):
        self.upstreams = [Upstream(name, "http://x/v1", "m", capacity=Capacity(**capacity)) for name in "abc"]
        self.fleet = Fleet(
            self.upstreams,
            problems=dict.fromkeys(problems, "down"),
            clock=lambda: 0.0,
            limits=BreakerLimits(failures),
            budget=RetryBudget(share),
        )

    def tour(self, server=None):
        """The way of one request that may go to all of them."""
        return Tour(self.fleet, REQUEST, [Target(upstream) for upstream in self.upstreams], server)


async def walk(tour, error):
    """The servers that it is sent to while each fails with `error`, and the error of the end."""
    names = []
    while True:
        try:
            seat = await tour.next()
        except UpstreamError as last:
            return "".join(names), last
        names.append(seat.server.name)
        seat.leave(Outcome.UPSTREAM_ERROR)
        try:
            tour.go_on(seat, error)
        except UpstreamError as last:
            return "".join(names), last


async def test_unreachable_servers_are_passed_one_by_one():
    """They have done no work: it costs nothing, and the end is the last one's reason."""
    gone = UpstreamUnavailable("gone")
    assert await walk(World(share=0.0).tour(), gone) == ("abc", gone)


async def test_a_failure_that_may_have_cost_work_is_tried_once_more():
    """And not at all without a budget."""
    broken = UpstreamError("broken")
    assert await walk(World().tour(), broken) == ("ab", broken)
    assert await walk(World(share=0.0).tour(), broken) == ("a", broken)


async def test_the_budget_is_shared_by_all():
    """Ten second tries are saved up, and each request pays for a tenth of one more."""
    world = World(failures=10**9)
    names = [(await walk(world.tour(), UpstreamError("broken")))[0] for _ in range(30)]
    assert names[:10] == ["ab"] * 10
    assert names.count("ab") in {12, 13}
    assert set(names) == {"a", "ab"}


async def test_a_server_that_is_down_comes_last():
    """And is asked all the same where nobody is left."""
    gone = UpstreamUnavailable("gone")
    assert (await walk(World(problems=["a"]).tour(), gone))[0] == "bca"
    assert (await walk(World(problems=["a", "b", "c"]).tour(), gone))[0] == "abc"


async def test_when_all_are_ejected_it_says_so_and_when_to_come_again():
    """A 503 at once, without a try."""
    world = World()
    await walk(world.tour(), UpstreamUnavailable("gone"))
    names, error = await walk(world.tour(), UpstreamUnavailable("gone"))
    assert (names, error.status, error.headers) == ("", 503, {"retry-after": "5"})
    assert "failed again and again" in error.message
    error = Tour(world.fleet, REQUEST, [])
    with pytest.raises(UpstreamUnavailable, match="No upstream is left"):
        await error.next()


@pytest.mark.parametrize(
    ("status", "headers", "moves"),
    [
        (500, {}, True),
        (503, {}, True),
        (429, {"retry-after": "3"}, True),
        (429, {}, False),
        (501, {}, False),
        (404, {}, False),
    ],
)
async def test_which_errors_another_server_may_not_have(status, headers, moves):
    """Those of the server's health; what it says of the request is told to the client."""
    tour = World().tour()
    seat = await tour.next()
    if not moves:
        tour.heard(seat, status, headers)
        return
    with pytest.raises(UpstreamRefused) as refused:
        tour.heard(seat, status, headers)
    assert (refused.value.status, refused.value.headers) == (status, headers)
    seat.leave(Outcome.UPSTREAM_ERROR)
    tour.go_on(seat, refused.value)
    assert (await tour.next()).server.name == "b"


async def test_the_last_servers_error_is_told():
    """Where nobody else is well there is nothing to gain."""
    tour = World(problems=["b", "c"]).tour()
    seat = await tour.next()
    tour.heard(seat, 500, {})


async def test_busy_upstreams_are_waited_for_in_order_and_then_passed_by():
    """A full line is 429 and a late place 503, both with when to come again; a fallback with room serves all the same."""
    world = World(at_once=1, queue_requests=0)
    seats = [await world.tour().next() for _ in range(3)]
    assert [seat.server.name for seat in seats] == ["a", "b", "c"]
    with pytest.raises(UpstreamBusy) as busy:
        await world.tour().next()
    assert (busy.value.status, busy.value.headers) == (429, {"retry-after": "1"})
    assert "'a' is busy" in busy.value.message
    seats[1].leave(Outcome.OK)
    assert (await world.tour().next()).server.name == "b"

    world = World(at_once=1, queue_requests=1, queue_seconds=0.01)
    for _ in range(3):
        await world.tour().next()
    with pytest.raises(WaitedInVain) as late:
        await world.tour().next()
    assert (late.value.status, late.value.headers) == (503, {"retry-after": "1"})


async def test_nobody_overtakes_the_line():
    """A request that comes as a place is free waits behind those who came before it."""
    world = World(at_once=1)
    (upstream,) = world.upstreams[:1]
    target = [Target(upstream)]
    seat = await Tour(world.fleet, REQUEST, target).next()
    order, tasks = [], []

    async def wait(name):
        place = await Tour(world.fleet, REQUEST, target).next()
        order.append(name)
        place.leave(Outcome.OK)

    for name in "123":
        tasks.append(asyncio.create_task(wait(name)))
        await asyncio.sleep(0)
    seat.leave(Outcome.OK)
    await wait("4")
    await asyncio.gather(*tasks)
    assert order == ["1", "2", "3", "4"]


async def test_a_continued_response_goes_to_the_server_that_holds_it():
    """No other replica will do; one that the configuration no longer has binds nobody."""
    urls = ("http://1/v1", "http://2/v1", "http://3/v1")
    world = World(urls=urls)
    target = [Target(world.upstreams[0])]
    for _ in range(3):
        assert (await Tour(world.fleet, REQUEST, target, "a#2").next()).server.name == "a#2"
    assert (await Tour(world.fleet, REQUEST, target, "a#9").next()).server.name in {"a#1", "a#3"}
