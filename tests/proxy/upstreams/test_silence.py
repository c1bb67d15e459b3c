"""One timer for all replies: it goes off when the first of them may have been silent for too long, and not before."""

import asyncio

from jevons.proxy.upstreams.silence import LEAST_SECONDS, SilenceWatch


class HandLoop:
    """Time and the timer, moved by hand."""

    def __init__(self):
        self.now = 100.0
        self.armed = []

    def time(self):
        return self.now

    def call_at(self, when, call):
        self.armed.append(Handle(when, call))
        return self.armed[-1]

    def live(self):
        return [handle.when for handle in self.armed if not handle.is_done]

    def go_to(self, now):
        self.now = now
        for handle in list(self.armed):
            if not handle.is_done and handle.when <= now:
                handle.is_done = True
                handle.call()


class Handle:
    """A timer."""

    def __init__(self, when, call):
        self.when, self.call, self.is_done = when, call, False

    def cancel(self):
        self.is_done = True


class Reply:
    """Says how long nobody needs to look."""

    def __init__(self, *waits):
        self.waits = list(waits)
        self.asked = []

    def check_silence(self, now):
        self.asked.append(now)
        return self.waits.pop(0) if len(self.waits) > 1 else self.waits[0]


def test_watching_many_takes_one_timer():
    """The nearest limit sets it; a later one does not move it."""
    loop = HandLoop()
    watch = SilenceWatch(loop)
    for seconds in (600.0, 600.0, 5.0, 3600.0):
        watch.watch(Reply(9.0), loop.now, seconds)
    assert loop.live() == [105.0]
    assert len(watch) == 4


def test_it_looks_again_when_somebody_says_so():
    """The soonest of all; a wait of nothing is no busy loop."""
    loop = HandLoop()
    watch = SilenceWatch(loop)
    first, second = Reply(7.0, 0.0), Reply(30.0)
    watch.watch(first, loop.now, 5.0)
    watch.watch(second, loop.now, 50.0)
    loop.go_to(105.0)
    assert (first.asked, second.asked, loop.live()) == ([105.0], [105.0], [112.0])
    loop.go_to(112.0)
    assert loop.live() == [112.0 + LEAST_SECONDS]


def test_the_forgotten_are_not_asked():
    """The timer goes off in vain once, and is not set again."""
    loop = HandLoop()
    watch = SilenceWatch(loop)
    reply = Reply(1.0)
    watch.watch(reply, loop.now, 5.0)
    watch.forget(reply)
    watch.forget(reply)
    loop.go_to(105.0)
    assert (reply.asked, loop.live()) == ([], [])


async def test_one_that_is_closed_looks_no_more():
    """On a real loop, where a cancelled timer does not go off."""
    watch = SilenceWatch(asyncio.get_running_loop())
    reply = Reply(1.0)
    watch.watch(reply, watch.loop.time(), 0.01)
    watch.close()
    watch.close()
    await asyncio.sleep(0.03)
    assert (reply.asked, len(watch)) == ([], 0)
