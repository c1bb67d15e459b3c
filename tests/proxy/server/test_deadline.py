"""A deadline that moves: on a loop whose time is moved by hand."""

import heapq
from types import SimpleNamespace

from jevons.proxy.server.deadline import Deadline


class HandLoop:
    """As much of a loop as a deadline needs."""

    def __init__(self):
        self.now = 100.0
        self.timers = []
        self.made = 0

    def time(self):
        return self.now

    def call_at(self, at, call):
        self.made += 1
        timer = SimpleNamespace(is_cancelled=False)
        timer.cancel = lambda: setattr(timer, "is_cancelled", True)
        heapq.heappush(self.timers, (at, self.made, call, timer))
        return timer

    def pass_time(self, seconds):
        """Let time pass, and call what is due."""
        until = self.now + seconds
        while self.timers and self.timers[0][0] <= until:
            at, _, call, timer = heapq.heappop(self.timers)
            self.now = max(self.now, at)
            if not timer.is_cancelled:
                call()
        self.now = until


class World:
    """A deadline, and what it has called."""

    def __init__(self):
        self.loop = HandLoop()
        self.deadline = Deadline(self.loop)
        self.called = []

    def one(self):
        self.called.append((1, self.loop.now))

    def two(self):
        self.called.append((2, self.loop.now))


def test_it_is_called_once_and_at_its_time():
    """Not before, and not again."""
    world = World()
    world.deadline.set(5, world.one)
    world.loop.pass_time(4.9)
    assert world.called == []
    world.loop.pass_time(20)
    assert world.called == [(1, 105.0)]


def test_moving_it_on_costs_no_timer():
    """A hundred requests on one connection make a timer now and then, not one each; the last word counts."""
    world = World()
    for _ in range(100):
        world.deadline.set(75, world.one)
        world.loop.pass_time(1)
    assert world.loop.made <= 3
    world.loop.pass_time(200)
    assert world.called == [(1, 274.0)]


def test_it_can_be_brought_forward():
    """A shorter one in place of a longer one is called in time."""
    world = World()
    world.deadline.set(75, world.one)
    world.deadline.set(5, world.two)
    world.loop.pass_time(200)
    assert world.called == [(2, 105.0)]


def test_the_same_call_is_not_put_off():
    """A client that trickles gets no more time by it; another call takes its place."""
    world = World()
    for _ in range(4):
        world.deadline.set_once(5, world.one)
        world.loop.pass_time(1)
    world.loop.pass_time(2)
    assert world.called == [(1, 105.0)]
    world.deadline.set_once(5, world.one)
    world.deadline.set_once(7, world.two)
    world.loop.pass_time(20)
    assert world.called[1:] == [(2, 113.0)]


def test_what_is_cleared_is_not_called():
    """It can be set anew afterwards."""
    world = World()
    world.deadline.set(5, world.one)
    world.deadline.clear()
    world.loop.pass_time(50)
    world.deadline.set(5, world.two)
    world.loop.pass_time(50)
    assert world.called == [(2, 155.0)]


def test_what_is_cancelled_leaves_no_timer():
    """A connection that is gone is not kept alive by its deadline."""
    world = World()
    world.deadline.set(5, world.one)
    world.deadline.cancel()
    assert all(timer.is_cancelled for *_, timer in world.loop.timers)
    world.loop.pass_time(50)
    assert world.called == []
