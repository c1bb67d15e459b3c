"""Reading many streams at once: when it ticks and when it does not, and that nothing of them is lost, late or mixed up."""

import asyncio
import os
import select
import socket
from contextlib import suppress

import pytest
from lean_wire import wire
from scripted_upstream import ScriptedUpstream, chunk, stream_head
from simulated_upstream import until

from jevons.proxy.exchange import Endpoint, Timeouts, Upstream
from jevons.proxy.upstreams import gather as gather_module
from jevons.proxy.upstreams.client import UpstreamClient
from jevons.proxy.upstreams.gather import Gatherer

pytest_plugins = ["lean_fixture"]

TICK = 0.01


class HandLoop:
    """As much of a loop as a gatherer needs; time and timers are moved by hand."""

    def __init__(self):
        self.now = 0.0
        self.watched = {}
        self.timer = None
        self.delays = []

    def time(self):
        return self.now

    def add_reader(self, descriptor, call):
        self.watched[descriptor] = call

    def remove_reader(self, descriptor):
        del self.watched[descriptor]

    def call_later(self, seconds, call):
        self.timer = call
        self.delays.append(seconds)
        return self

    def call_soon(self, call):
        return self.call_later(0, call)

    def cancel(self):
        self.timer = None

    def wake(self, seconds):
        """Time passes; then the epoll, or the tick, gets its turn."""
        self.now += seconds
        if self.timer is not None:
            timer, self.timer = self.timer, None
            timer()
        for call in list(self.watched.values()):
            call()


class Streams:
    """Sockets that have something to say."""

    def __init__(self, gatherer, count):
        self.pairs = [socket.socketpair() for _ in range(count)]
        self.got = {ours.fileno(): b"" for ours, _ in self.pairs}
        self.gatherer = gatherer
        for descriptor in self.got:
            gatherer.add(descriptor, lambda descriptor=descriptor: self.read(descriptor))

    def read(self, descriptor):
        self.got[descriptor] += os.read(descriptor, 1000)

    def say(self, data):
        for _, theirs in self.pairs:
            theirs.send(data)

    def close(self):
        for descriptor in self.got:
            self.gatherer.remove(descriptor)
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def loop():
    """A loop moved by hand."""
    return HandLoop()


@pytest.fixture
def gatherer(loop):
    """A gatherer on it."""
    gatherer = Gatherer(loop, tick_seconds=TICK)
    yield gatherer
    gatherer.close()
    assert loop.watched == {}


def make_busy(loop, streams):
    """Half a second of a wake-up every millisecond."""
    for _ in range(600):
        streams.say(b"x")
        loop.wake(0.001)


def test_few_wake_ups_do_not_tick(loop, gatherer):
    """The loop watches: every token passes at once."""
    streams = Streams(gatherer, 4)
    for _ in range(200):
        streams.say(b"x")
        loop.wake(0.01)
    assert not gatherer.is_ticking
    assert set(streams.got.values()) == {b"x" * 200}
    streams.close()


def test_many_wake_ups_tick_and_quiet_ends_it(loop, gatherer):
    """Nothing is lost on the way there and back."""
    streams = Streams(gatherer, 4)
    make_busy(loop, streams)
    assert gatherer.is_ticking
    assert loop.watched == {}
    streams.say(b"y")
    assert not any(got.endswith(b"y") for got in streams.got.values())
    loop.wake(TICK)
    assert set(streams.got.values()) == {b"x" * 600 + b"y"}
    for _ in range(60):
        loop.wake(TICK)
    assert not gatherer.is_ticking
    assert loop.timer is None
    streams.say(b"z")
    loop.wake(0.0)
    assert set(streams.got.values()) == {b"x" * 600 + b"yz"}
    streams.close()


def test_without_a_tick_it_only_watches(loop):
    """However busy."""
    gatherer = Gatherer(loop, tick_seconds=0)
    streams = Streams(gatherer, 2)
    make_busy(loop, streams)
    assert not gatherer.is_ticking
    streams.close()
    gatherer.close()


def test_one_readers_bug_does_not_stop_the_others(loop, gatherer):
    """The tick goes on."""
    streams = Streams(gatherer, 2)
    make_busy(loop, streams)
    assert gatherer.is_ticking
    ours, theirs = socket.socketpair()

    def fall_over():
        gatherer.remove(ours.fileno())
        raise ZeroDivisionError

    gatherer.add(ours.fileno(), fall_over)
    theirs.send(b"x")
    with pytest.raises(ZeroDivisionError):
        loop.wake(TICK)
    streams.say(b"y")
    loop.wake(TICK)
    assert all(got.endswith(b"y") for got in streams.got.values())
    streams.close()
    ours.close()
    theirs.close()


def test_many_are_read_in_several_turns(loop, monkeypatch):
    """What else the loop has to do comes between; all are read once by one tick, in the order in which they became ready."""
    monkeypatch.setattr(gather_module, "STREAMS_PER_TURN", 4)
    gatherer = Gatherer(loop, tick_seconds=TICK)
    streams = Streams(gatherer, 10)
    make_busy(loop, streams)
    assert gatherer.is_ticking
    for _ in range(3):
        loop.wake(0)
    assert set(streams.got.values()) == {b"x" * 600}
    assert loop.delays[-1] == TICK
    streams.say(b"y")
    for read in (4, 8, 10):
        loop.wake(0)
        assert sum(got.endswith(b"y") for got in streams.got.values()) == read
    assert loop.delays[-3:] == [0, 0, TICK]
    assert set(streams.got.values()) == {b"x" * 600 + b"y"}
    streams.close()
    gatherer.close()


def test_a_tick_comes_to_an_end_where_streams_never_do(loop, monkeypatch):
    """As many reads as there are streams; who has more to say waits for the next tick, as it would without turns."""
    monkeypatch.setattr(gather_module, "STREAMS_PER_TURN", 2)
    gatherer = Gatherer(loop, tick_seconds=TICK)
    streams = Streams(gatherer, 6)
    make_busy(loop, streams)
    for _ in range(4):
        loop.wake(0)
    assert loop.delays[-1] == TICK
    for _ in range(9):
        streams.say(b"y")
        loop.wake(0)
    assert loop.delays[-9:] == [0, 0, TICK] * 3
    streams.close()
    gatherer.close()


def test_who_is_removed_within_a_look_is_not_read(loop, gatherer):
    """One reader may close another's connection."""
    pairs = [socket.socketpair() for _ in range(2)]
    read = []

    def first_one(number):
        read.append(number)
        for ours, _ in pairs:
            gatherer.remove(ours.fileno())

    for number, (ours, theirs) in enumerate(pairs):
        gatherer.add(ours.fileno(), lambda number=number: first_one(number))
        theirs.send(b"x")
    loop.wake(0.0)
    assert len(read) == 1
    gatherer.remove(12345)  # a stranger: nothing
    for pair in pairs:
        for end in pair:
            end.close()


def test_it_says_so_where_it_is_closed(loop):
    """Its epoll is gone, and nothing is watched."""
    gatherer = Gatherer(loop, tick_seconds=TICK)
    gatherer.close()
    assert loop.watched == {}
    assert isinstance(gatherer._epoll, select.epoll)
    assert gatherer._epoll.closed


# On real loops, through the client


def test_the_first_bytes_are_never_gathered(run):
    """They come through the loop; what follows them does not."""

    async def scenario():
        async with wire(tick_seconds=TICK) as server:
            gatherer = server.connection._gatherer
            gatherer.is_ticking = True  # nobody looks into the epoll
            asyncio.get_running_loop().remove_reader(gatherer._epoll.fileno())
            reply = await server.answer(stream_head(), chunk(b"first"))
            assert await reply.next_block() == b"first"
            await server.say(chunk(b"second"))
            await asyncio.sleep(0.02)
            assert not reply._blocks
            gatherer._look()
            assert await reply.next_block() == b"second"

    run(scenario())


def test_a_whole_reply_is_not_gathered(run):
    """However many parts it has: only streams are worth it."""

    async def scenario():
        async with wire(tick_seconds=TICK) as server:
            reply = await server.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk(b"a"))
            await reply.next_block()
            assert server.connection._gathered is None
            await server.say(chunk(b"b"), chunk(b""))
            assert await reply.read() == b"b"

    run(scenario())


STREAMS, TOKENS = 60, 40


def test_many_streams_at_once(run, monkeypatch):
    """Under load it ticks; every stream arrives whole and in its order, ends well, and the connections are used again."""
    monkeypatch.setattr(gather_module, "BUSY_WAKEUPS_PER_SECOND", 50.0)  # a busy machine may not manage the usual rate

    async def script(call):
        number = int(call.headers["x-number"])
        await call.send(stream_head())
        for token in range(TOKENS):
            await call.send(chunk(b"data: %d %d\n\n" % (number, token)))
            await asyncio.sleep(0.004 + number % 7 * 0.001)
        await call.send(chunk(b"data: [DONE]\n\n"), chunk(b""))

    async def scenario():
        seen = []
        async with ScriptedUpstream(script).running() as server, UpstreamClient(tick_seconds=TICK) as client:
            upstream = Upstream("chat", f"{server.url}/v1", "m", timeouts=Timeouts())

            async def one(number):
                reply = await client.send(upstream, Endpoint.CHAT, b"{}", "application/json", {"x-number": str(number)})
                body = []

                def take(block):
                    body.append(block)
                    seen.append(client._gatherer.is_ticking)
                    return len(body) % 5 != 0

                while not await reply.pump(take):
                    pass
                return b"".join(body)

            for _ in range(2):
                bodies = await asyncio.gather(*[one(number) for number in range(STREAMS)])
                for number, body in enumerate(bodies):
                    tokens = b"".join(b"data: %d %d\n\n" % (number, token) for token in range(TOKENS))
                    assert body == tokens + b"data: [DONE]\n\n"
            assert any(seen)
            assert max(call.connection for call in server.calls) == STREAMS

    run(scenario())


def test_leaving_while_gathered_closes_the_connection(run):
    """The server hears of it, as of any other."""

    async def scenario():
        async with wire(tick_seconds=TICK) as server:
            reply = await server.answer(stream_head(), chunk(b"first"))
            await reply.next_block()
            await until(lambda: server.connection._gathered is not None)
            reply.close()
            with suppress(ConnectionError):
                await server.reader.read(-1)  # up to the end, in good order or not
            assert server.reader.at_eof() or server.reader.exception() is not None
            assert server.connection._gatherer._readers == {}

    run(scenario())
