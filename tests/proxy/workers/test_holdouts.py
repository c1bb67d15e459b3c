"""The holdouts of all workers, as one."""

from jevons.proxy.holdout import PairSums
from jevons.proxy.workers.holdouts import Holdouts
from jevons.proxy.workers.messages import Sampled


def test_sums_over_workers():
    """The latest word of each counts, and that of one that is gone stays."""
    holdouts = Holdouts(0.1)
    holdouts.take(0, Sampled(1, 5.0, (("direct", 1.0, 4.0),)))
    holdouts.take(0, Sampled(2, 9.0, (("direct", 1.0, 4.0), ("direct", 1.0, 4.0))))
    holdouts.take(1, Sampled(1, 1.0, (("reasoning", 4.0, 1.0),)))
    assert (holdouts.requests, holdouts.joules) == (3, 10.0)
    assert holdouts.saving.pairs == 3
    assert holdouts.saving.value == 0.5


def test_sums_of_pairs_over_workers():
    """Of all that there ever were, those of a worker that is gone among them: they never fall."""
    holdouts = Holdouts(0.1)
    holdouts.take(0, Sampled(1, 5.0, (), PairSums(2, 3.0, 8.0)))
    holdouts.take(1, Sampled(1, 5.0, (), PairSums(1, 1.0, 2.0)))
    assert holdouts.sums == PairSums(3, 4.0, 10.0)
    holdouts.leave(0)
    holdouts.take(1, Sampled(1, 5.0, (), PairSums(2, 2.0, 4.0)))
    assert holdouts.sums == PairSums(4, 5.0, 12.0)


def test_what_a_worker_found_stays():
    """When it is gone, and another has its number."""
    holdouts = Holdouts(0.1)
    holdouts.take(0, Sampled(2, 9.0, (("direct", 1.0, 4.0), ("direct", 1.0, 4.0))))
    holdouts.take(1, Sampled(1, 1.0, (("reasoning", 4.0, 1.0),)))
    holdouts.leave(0)
    holdouts.leave(0)
    holdouts.take(0, Sampled(1, 1.0, ()))
    assert (holdouts.requests, holdouts.joules) == (4, 11.0)
    assert holdouts.saving.pairs == 3
