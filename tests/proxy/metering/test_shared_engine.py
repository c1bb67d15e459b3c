"""An engine whose steps are shared with other processes."""

import pytest

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.shared_counts import SharedCounts
from jevons.proxy.metering.shared_engine import SharedEngine


@pytest.fixture
def engines():
    """The same engine as two processes have it."""
    counts, _ = SharedCounts.create(2)
    model = Coefficients(1.0, 0.1, 0.0, 0.01)
    return [SharedEngine("m", model, counts.row(row), 0, bin_seconds=0.25, doubt=0.4) for row in range(2)]


def test_a_step_is_shared_by_all(engines):
    """1/N counts the sequences of both; what changes elsewhere is seen at the next look, where something of ours is in flight."""
    one, other = engines
    assert one.fly(1)
    one.enter(1, 1.0)
    other.fly(1)
    other.enter(3, 1.1)
    assert other.step_share == 0.25
    assert one.step_share == 1.0
    one.look(1.2)
    assert one.step_share == 0.25
    assert one.step_shares.mean(1.0, 1.25) == pytest.approx((0.2 + 0.05 * 0.25) / 0.25)
    other.leave(3, 1.3)
    one.look(1.3)
    assert one.step_share == 1.0


def test_who_has_nothing_in_flight_does_not_look(engines):
    """Nobody's share hangs on it."""
    one, other = engines
    other.enter(3, 1.0)
    one.look(1.0)
    assert one.step_share == 1.0


def test_prompts_that_are_only_read(engines):
    """They share a step likewise."""
    one, other = engines
    other.read(1, 1.0)
    one.read(1, 1.0)
    assert one.read_shares.mean(1.0, 1.0) == 0.5
    assert one.reading == 1


def test_first_and_last_flights(engines):
    """Only the edges are told; all flights are counted."""
    one, other = engines
    assert [one.fly(1), one.fly(1), one.fly(-1), one.fly(-1)] == [True, False, False, True]
    one.fly(1)
    other.fly(1)
    assert one.flying_everywhere == 2
