"""The holdouts of all workers, as one."""

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
    holdouts.leave(0)
    holdouts.leave(0)
    holdouts.take(0, Sampled(1, 1.0, ()))
    assert (holdouts.requests, holdouts.joules) == (4, 11.0)
    assert holdouts.saving.pairs == 3
