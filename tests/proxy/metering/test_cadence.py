"""Tests of telling when a counter moved."""

import random

import pytest

from jevons.proxy.metering.cadence import Cadence

PERIOD, POLL = 0.1, 0.05


def follow(times, *, poll=POLL, until=30.0, jitter=0.0):
    """What a cadence makes of moves at `times`, read every `poll` seconds; pairs of the truth and what was told."""
    cadence, told, moves = Cadence(), [], iter(times)
    following = next(moves)
    source = random.Random(1)
    before, was_still, at = 0.0, True, 0.0
    while at < until:
        at += poll + source.uniform(0, jitter)
        if following <= at:
            truth = following
            while following <= at:
                truth, following = following, next(moves)
            told.append((truth, cadence.move(before, at, was_still=was_still)))
            was_still = False
        else:
            was_still = True
        before = at
    return cadence, told


def steady(period=PERIOD, phase=0.013):
    """Moves at even intervals."""
    number = 0
    while True:
        number += 1
        yield phase + number * period


@pytest.mark.parametrize("jitter", [0.0, 0.004])
def test_even_moves_are_told_to_a_few_milliseconds(jitter):
    """Once the line is known, the error is far below the fifty milliseconds that a reading leaves."""
    cadence, told = follow(steady(PERIOD + 0.0007), jitter=jitter)
    assert cadence.period_seconds == pytest.approx(PERIOD + 0.0007, rel=0.01)
    assert max(abs(truth - at) for truth, at in told[60:]) < 0.02


def test_what_is_told_lies_between_the_readings():
    """Never after the reading that saw the move, and in order."""
    _, told = follow(steady(), jitter=0.01)
    times = [at for _, at in told]
    assert times == sorted(times)
    assert all(at <= truth + POLL + 0.01 + 1e-9 for truth, at in told)


def test_a_counter_that_always_moves_has_no_period():
    """Where no reading finds it still, the moves are when they are read."""
    cadence, told = follow(steady(0.01), poll=0.05)
    assert cadence.period_seconds is None
    assert all(0 <= at - truth <= 0.05 + 1e-9 for truth, at in told[10:])


def test_moves_at_random_are_no_line():
    """Irregular moves are taken to be about when they were read."""
    source = random.Random(2)

    def erratic():
        at = 0.0
        while True:
            at += source.expovariate(1 / 0.3)
            yield at

    cadence, told = follow(erratic(), until=60.0)
    assert cadence.period_seconds is None
    assert all(abs(at - truth) <= 0.3 for truth, at in told)
