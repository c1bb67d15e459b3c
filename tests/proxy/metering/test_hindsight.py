"""Tests of what is told of replies that nobody saw arrive, once they are there."""

import random

import pytest

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.hindsight import KEPT_WINDOWS, MARGIN_WINDOWS, Hindsight, Window
from jevons.proxy.metering.whole_work import BufferedWork

WIDTH = 0.25
START = 1000.0
PROMPT = 100


def make_engine():
    """A server whose prompts take next to no time."""
    return Engine("model", Coefficients(3.0, 0.05, 3e-5, 1e-6), ("gpu",), bin_seconds=WIDTH, starting_watts=400.0)


def steps_at(now):
    """The engine makes 20 steps a second, and in every other stretch of four seconds 40."""
    seconds = now - START
    return 20.0 * seconds + 20.0 * (4.0 * (seconds // 8.0) + max(0.0, seconds % 8.0 - 4.0))


def play(engine, hindsight, *, seconds=60.0, in_flight=12, is_counted=True, is_wanted=True, gap_at=None):
    """Replies that come whole, so many at a time, each of a few seconds; gives the windows that are told."""
    dice = random.Random(4)
    open_, told = [], []
    for index in range(int(seconds / WIDTH)):
        now = START + index * WIDTH
        if gap_at is not None and index >= gap_at:
            now += 5.0
        while len(open_) < in_flight:
            begin = now + dice.uniform(0.0, 0.2)
            work = BufferedWork(Account(WIDTH, begin, 1), engine, PROMPT)
            engine.works[work] = None
            open_.append((work, begin, begin + dice.uniform(0.5, 6.0)))
        for work, begin, end in [each for each in open_ if each[2] < now + WIDTH]:
            tokens = round(steps_at(end) - steps_at(begin)) + 1
            work.finish(end, Usage(prompt=PROMPT, cached=0, completion=tokens if is_counted else None))
            work.end(end)
            work.account.ended = end
        open_ = [each for each in open_ if each[2] >= now + WIDTH]
        told += hindsight.see(Window(now, now + WIDTH, Quantities(), 100.0, 0.0, is_wanted), engine)
        for work in list(engine.works):
            if work.account.ended is not None:
                del engine.works[work]
    return told


def test_the_steps_of_every_second_are_found():
    """From lengths alone: a rate that doubles every four seconds is told in most seconds to within a tenth."""
    told = play(make_engine(), Hindsight())
    errors = sorted(abs(window.work.steps / (steps_at(window.end) - steps_at(window.begin)) - 1) for window in told)
    assert len(told) == 50
    assert errors[len(errors) // 2] < 0.05
    assert errors[int(0.8 * len(errors))] < 0.10


def test_tokens_and_contexts_are_those_of_the_replies():
    """Twelve at a time, less the pauses between them: eleven tokens a step, each after its prompt and what was said before."""
    told = play(make_engine(), Hindsight())
    total = Quantities()
    for window in told:
        total.absorb(window.work)
    assert total.tokens / total.steps == pytest.approx(11.2, rel=0.03)
    assert PROMPT < total.context / total.tokens < PROMPT + 240
    assert total.prompt == pytest.approx(PROMPT * 12 * 50 / 3.35, rel=0.1)


def test_windows_are_told_once_and_in_order():
    """Each second is whole, follows the one before, and carries its joules."""
    told = play(make_engine(), Hindsight())
    assert [window.begin for window in told] == pytest.approx([START + second for second in range(50)])
    assert all(window.seconds == pytest.approx(1.0) and window.joules == pytest.approx(400.0) for window in told)


def test_nothing_is_told_before_most_is_known():
    """Until the seconds that are kept have passed, and of the last of them, replies are still out."""
    assert play(make_engine(), Hindsight(), seconds=KEPT_WINDOWS - 1) == []
    assert len(play(make_engine(), Hindsight(), seconds=KEPT_WINDOWS)) == KEPT_WINDOWS - MARGIN_WINDOWS


def test_what_is_not_wanted_is_not_told():
    """Seconds with a bin that is not clean only help to know their neighbours."""
    assert play(make_engine(), Hindsight(), is_wanted=False) == []


def test_a_gap_begins_anew():
    """What comes after a hole in time does not follow on what was."""
    assert play(make_engine(), Hindsight(), seconds=60.0, gap_at=100) == []


def test_replies_that_nobody_counted_teach_no_rate():
    """Without the server's counts the rate is the engine's usual one."""
    engine = make_engine()
    told = play(engine, Hindsight(), is_counted=False)
    usual = engine.tokens_per_second.value
    assert all(window.work.steps == pytest.approx(usual) for window in told)


def test_with_nobody_there_nothing_is_kept():
    """When no reply is left in the time that is kept, it is forgotten."""
    hindsight = Hindsight()
    assert play(make_engine(), hindsight, in_flight=0) == []
    assert not any(window.begin < START + KEPT_WINDOWS for window in hindsight._windows)
