"""A reply while it arrives, without a network: who gets which block, what is held back, and when silence is too long."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import UpstreamError, UpstreamTimedOut
from jevons.proxy.exchange import Timeouts
from jevons.proxy.upstreams import reply as reply_module
from jevons.proxy.upstreams.reply import BUFFER_BYTES, UpstreamReply
from jevons.proxy.upstreams.silence import SilenceWatch

STREAM = {"content-type": "Text/Event-Stream; charset=utf-8"}


class Source:
    """A connection that does nothing but remember."""

    def __init__(self):
        self.is_paused = False
        self.is_aborted = False

    def abort(self):
        self.is_aborted = True

    def pause(self):
        self.is_paused = True

    def resume(self):
        self.is_paused = False


def make(**timeouts):
    """A reply whose request has gone out."""
    source = Source()
    reply = UpstreamReply(source, "chat", Timeouts(**timeouts), SilenceWatch(asyncio.get_running_loop()))
    reply.start_timer()
    return reply, source


async def give_turns(turns=5):
    """Let others run."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_blocks_go_to_who_pumps_in_the_same_turn():
    """Without a task being woken; the end is told."""
    reply, _ = make()
    reply.begin(200, STREAM)
    assert reply.is_stream
    taken = []
    pumping = asyncio.create_task(reply.pump(lambda block: taken.append(block) or True))
    await give_turns()
    reply.push(b"a")
    assert taken == [b"a"]
    reply.push(b"b")
    reply.complete()
    assert await pumping is True
    assert taken == [b"a", b"b"]
    assert await reply.pump(lambda _: False) is True


async def test_what_came_before_the_pump_comes_first():
    """In its order."""
    reply, _ = make()
    reply.begin(200, STREAM)
    reply.push(b"a")
    reply.push(b"b")
    taken = []
    pumping = asyncio.create_task(reply.pump(lambda block: taken.append(block) or True))
    await give_turns()
    reply.push(b"c")
    reply.complete()
    assert await pumping is True
    assert taken == [b"a", b"b", b"c"]


async def test_a_taker_that_has_to_wait_is_given_nothing_more():
    """`pump` returns False, and what comes meanwhile is kept for the next."""
    reply, _ = make()
    reply.begin(200, STREAM)
    taken = []

    def take(block):
        taken.append(block)
        return len(taken) % 2 == 0

    pumping = asyncio.create_task(reply.pump(take))
    await give_turns()
    reply.push(b"1")
    reply.push(b"2")
    reply.push(b"3")
    assert taken == [b"1"]
    assert await pumping is False
    assert await reply.pump(take) is False
    assert taken == [b"1", b"2", b"3"]
    reply.complete()
    assert await reply.pump(take) is True


async def test_a_break_comes_behind_what_came_before_it():
    """First every block, then the error, every time that is asked."""
    reply, _ = make()
    reply.begin(200, STREAM)
    reply.push(b"a")
    reply.break_off("it fell over")
    taken = []
    for _ in range(2):
        with pytest.raises(UpstreamError, match=r"^Upstream 'chat' broke off its reply: it fell over\.$"):
            await reply.pump(lambda block: taken.append(block) or True)
    assert taken == [b"a"]
    with pytest.raises(UpstreamError):
        await reply.read()


async def test_a_break_while_the_taker_waits():
    """Nothing that came between is lost."""
    reply, _ = make()
    reply.begin(200, STREAM)
    taken = []
    pumping = asyncio.create_task(reply.pump(lambda block: bool(taken.append(block))))
    await give_turns()
    reply.push(b"a")
    reply.push(b"b")
    reply.break_off("it fell over")
    assert await pumping is False
    assert await reply.pump(lambda block: bool(taken.append(block))) is False
    with pytest.raises(UpstreamError):
        await reply.pump(lambda block: bool(taken.append(block)))
    assert taken == [b"a", b"b"]


@given(
    st.lists(st.tuples(st.sampled_from(["push", "pump", "turn"]), st.binary(min_size=1, max_size=3), st.booleans()), max_size=40)
)
def test_nothing_is_lost_or_reordered(steps):
    """Whenever blocks come, whenever somebody pumps, and however often the taker has to wait."""

    async def scenario():
        reply, _ = make()
        reply.begin(200, STREAM)
        sent, taken, answers = b"", b"", []

        def take(block):
            nonlocal taken
            taken += block
            return not answers or answers.pop()

        async def pump():
            while not await reply.pump(take):
                pass

        pumping = None
        for step, data, answer in steps:
            answers.append(answer)
            if step == "push":
                reply.push(data)
                sent += data
            elif step == "pump" and pumping is None:
                pumping = asyncio.create_task(pump())
            else:
                await asyncio.sleep(0)
        reply.complete()
        await (pumping or pump())
        assert taken == sent

    asyncio.run(scenario())


async def test_the_server_is_paused_while_much_waits():
    """And read on once there is room; a reply that is complete leaves its connection alone."""
    reply, source = make()
    reply.begin(200, STREAM)
    reply.push(b"x" * BUFFER_BYTES)
    assert not source.is_paused
    reply.push(b"y")
    assert source.is_paused
    await reply.next_block()
    assert not source.is_paused
    reply.push(b"x" * BUFFER_BYTES)
    assert source.is_paused
    reply.complete()
    await reply.next_block()
    assert source.is_paused  # it may serve another by now, who has paused it


async def test_a_whole_reply_is_read_past_the_buffer():
    """Whoever wants all of it has room for it, up to a limit."""
    reply, source = make()
    reply.begin(200, {})
    reading = asyncio.create_task(reply.read())
    for _ in range(5):
        reply.push(b"x" * BUFFER_BYTES)
        await give_turns()
        assert not source.is_paused
    reply.complete()
    assert await reading == b"x" * 5 * BUFFER_BYTES


async def test_more_than_the_limit_is_no_answer(monkeypatch):
    """Where it is to be held whole."""
    monkeypatch.setattr(reply_module, "REPLY_LIMIT_BYTES", 10)
    reply, source = make()
    reply.begin(200, {})
    reply.push(b"x" * 11)
    with pytest.raises(UpstreamError, match="sent more than 10 bytes"):
        await reply.read()
    reply.close()
    assert source.is_aborted


async def test_closing_aborts_unless_it_is_complete():
    """The connection of a reply that has come to its end serves another."""
    for is_complete in (False, True):
        reply, source = make()
        reply.begin(200, {})
        if is_complete:
            reply.complete()
        reply.close()
        assert source.is_aborted is not is_complete


async def test_silence_before_and_within():
    """Each has its own limit, and the connection is closed."""
    reply, source = make(first_byte_seconds=0.02)
    with pytest.raises(UpstreamTimedOut, match=r"^Upstream 'chat' did not answer in 0\.02 s\.$"):
        await reply.head()
    assert source.is_aborted
    reply, source = make(idle_seconds=0.02)
    reply.begin(200, {})
    await reply.head()
    with pytest.raises(UpstreamTimedOut, match=r"^Upstream 'chat' sent nothing for 0\.02 s\.$"):
        await reply.read()
    assert source.is_aborted


async def test_whoever_speaks_is_not_silent():
    """However long the whole takes."""
    reply, source = make(idle_seconds=0.05)
    reply.begin(200, STREAM)
    for _ in range(8):
        await asyncio.sleep(0.02)
        reply.heard_at = asyncio.get_running_loop().time()
    assert reply.check_silence(asyncio.get_running_loop().time()) > 0.0
    assert not source.is_aborted
    reply.close()


async def test_a_paused_server_is_not_silent_but_not_asked():
    """Its silence begins when it is read again."""
    reply, source = make(idle_seconds=0.01)
    reply.begin(200, STREAM)
    reply.push(b"x" * BUFFER_BYTES)
    reply.push(b"y")
    await asyncio.sleep(0.05)
    assert not source.is_aborted
    await reply.next_block()
    assert reply.check_silence(asyncio.get_running_loop().time()) > 0.0
    assert not source.is_aborted
    reply.close()


async def test_a_late_word_changes_nothing():
    """Neither a break behind the end, nor a second break."""
    reply, _ = make()
    reply.begin(200, {})
    reply.push(b"a")
    reply.complete()
    reply.break_off("late")
    assert await reply.read() == b"a"
    reply, _ = make()
    reply.break_off("first")
    reply.break_off("second")
    with pytest.raises(UpstreamError, match=r"broke off before it answered: first\."):
        await reply.head()


async def test_a_pump_that_is_cancelled_takes_no_more():
    """The next block waits."""
    reply, _ = make()
    reply.begin(200, STREAM)
    taken = []
    pumping = asyncio.create_task(reply.pump(lambda block: taken.append(block) or True))
    await give_turns()
    pumping.cancel()
    await asyncio.wait([pumping])
    reply.push(b"a")
    assert taken == []
    assert await reply.next_block() == b"a"
    reply.close()
