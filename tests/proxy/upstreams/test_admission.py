"""The line before a busy upstream: order, bound, deadline, and those who leave it."""

import asyncio
from contextlib import suppress

import pytest

from jevons.proxy.upstreams.admission import Line, LineFullError, WaitedTooLongError


class Places:
    """So many places, taken and given back."""

    def __init__(self, free=0):
        self.free = free

    def take(self):
        """A place, or None."""
        if self.free == 0:
            return None
        self.free -= 1
        return "place"

    def give_back(self, place):
        """One is free again."""
        assert place == "place"
        self.free += 1


async def turn(times=3):
    """Let the loop go round."""
    for _ in range(times):
        await asyncio.sleep(0)


async def test_first_come_first_served():
    """Each place that comes free goes to whoever has waited longest."""
    line, places, served = Line(9, 60.0), Places(), []

    async def wait(name):
        assert await line.wait(places.take, places.give_back) == "place"
        served.append(name)

    tasks = [asyncio.create_task(wait(name)) for name in "abc"]
    await turn()
    assert len(line) == 3
    for expected in ("a", "ab", "abc"):
        places.free += 1
        line.move()
        await turn()
        assert "".join(served) == expected
    await asyncio.gather(*tasks)
    assert (len(line), places.free) == (0, 0)


async def test_a_full_line_turns_away():
    """At once, and counts it."""
    line, places = Line(1, 60.0), Places()
    waiting = asyncio.create_task(line.wait(places.take, places.give_back))
    await turn()
    with pytest.raises(LineFullError):
        await line.wait(places.take, places.give_back)
    assert (line.full, len(line)) == (1, 1)
    line.dismiss()
    assert await waiting is None


async def test_nobody_waits_for_ever():
    """At the deadline one is sent off, and is out of the line."""
    line, places = Line(1, 0.01), Places()
    with pytest.raises(WaitedTooLongError):
        await line.wait(places.take, places.give_back)
    assert (line.late, len(line)) == (1, 0)


async def test_who_leaves_is_out_of_the_line():
    """The place goes to the next."""
    line, places = Line(9, 60.0), Places()
    first, second = (asyncio.create_task(line.wait(places.take, places.give_back)) for _ in range(2))
    await turn()
    first.cancel()
    await turn()
    assert len(line) == 1
    places.free += 1
    line.move()
    assert await second == "place"
    assert first.cancelled()


async def test_a_place_that_comes_as_one_leaves_is_given_back():
    """Handed over and cancelled in the same turn of the loop: no place is lost."""
    line, places = Line(9, 60.0), Places()
    waiting = asyncio.create_task(line.wait(places.take, places.give_back))
    await turn()
    places.free += 1
    line.move()
    assert places.free == 0
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert places.free == 1


async def test_whoever_cannot_use_a_place_lets_the_next_have_it():
    """One that has been at that server already does not hold up the others."""
    line, places = Line(9, 60.0), Places()
    particular = asyncio.create_task(line.wait(lambda: None, places.give_back))
    await turn()
    places.free += 1
    assert await line.wait(places.take, places.give_back) == "place"  # it may look as it comes
    other = asyncio.create_task(line.wait(places.take, places.give_back))
    await turn()
    places.free += 1
    line.move()
    assert await other == "place"
    line.dismiss()
    assert await particular is None
