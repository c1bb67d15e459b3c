"""A trend and its interval: exact where there is no noise, as wide as the noise is, and wider where looks repeat each other."""

import random

import pytest

from jevons.proxy.bench.trend import second_half, trend


def noisy(seed, slope, *, count=60, memory=0.0):
    """Looks at a line through noise; each remembers so much of the last one's."""
    dice, error, ys = random.Random(seed), 0.0, []
    for x in range(count):
        error = memory * error + dice.gauss(0.0, 1.0)
        ys.append(slope * x + error)
    return list(map(float, range(count))), ys


def test_a_line_is_its_own_trend():
    """Without noise the interval is a point; what does not move does not grow."""
    found = trend([0.0, 1.0, 2.0, 4.0], [5.0, 7.0, 9.0, 13.0])
    assert (found.slope, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    flat = trend([0.0, 1.0, 2.0], [7.0, 7.0, 7.0])
    assert (flat.slope, flat.low, flat.high) == (0.0, 0.0, 0.0)
    assert found.times(3.0).as_json() == pytest.approx({"slope": 6.0, "low": 6.0, "high": 6.0})


def test_too_little_is_no_trend():
    """Two points, or many at one moment."""
    assert trend([], []) is None
    assert trend([0.0, 1.0], [0.0, 1.0]) is None
    assert trend([1.0, 1.0, 1.0], [0.0, 1.0, 2.0]) is None
    assert second_half([], []) is None


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_the_interval_holds_the_truth(memory):
    """Nearly always, also where each look remembers the last."""
    hits = 0
    for seed in range(400):
        found = trend(*noisy(seed, 0.1, memory=memory))
        hits += found.low <= 0.1 <= found.high
    assert hits >= 0.88 * 400


def test_looks_that_repeat_each_other_say_less():
    """The same scatter is worth a wider interval where it drifts."""
    xs, _ = noisy(1, 0.0)
    ups_and_downs = [float((-1) ** place) for place in range(len(xs))]
    steps = [1.0 if (place // 15) % 2 else -1.0 for place in range(len(xs))]
    first, second = trend(xs, ups_and_downs), trend(xs, steps)
    assert second.high - second.low > 3 * (first.high - first.low)


def test_the_first_half_fills_what_is_bounded():
    """And is not looked at."""
    xs = [float(place) for place in range(11)]
    found = second_half(xs, [min(place, 5.0) * 100.0 for place in xs])
    assert found.slope == pytest.approx(0.0)
