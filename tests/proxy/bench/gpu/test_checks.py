"""Which checks there are; that they come to the right figures is seen by running all of them (`test_cli`)."""

from types import SimpleNamespace

import pytest

from jevons.proxy.bench.gpu.checks import CHECKS, step_law
from jevons.proxy.bench.gpu.outcome import QUICK
from jevons.proxy.calibration.stages import Played
from jevons.proxy.calibration.windows import Rates
from jevons.proxy.errors import JevonsError


def test_the_last_check_judges_the_whole_run():
    """Conservation comes last, after every other has put its load on the board."""
    names = ["step_law", "identical", "alone", "lengths", "marginal", "bypass", "conservation"]
    assert [check.__name__ for check in CHECKS] == names


async def test_a_line_needs_three_batches(monkeypatch):
    """Where the counter showed nothing clean there is no line, and that is the reason."""

    async def play(_client, stage):
        return Played(stage, 0.0, 1.0)

    async def joules(_begin, _end):
        return {}

    monkeypatch.setattr("jevons.proxy.bench.gpu.checks.play", play)
    world = SimpleNamespace(direct=None, joules=joules, calibration=SimpleNamespace(rates=Rates(1.0, 1.0, 0.0)))
    with pytest.raises(JevonsError, match="fewer than three batch sizes"):
        await step_law(world, QUICK)
