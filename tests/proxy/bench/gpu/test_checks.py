"""The checks in virtual time, where what a board consumed is known; that all of them run is seen in `test_cli`."""

from types import SimpleNamespace

import pytest
from calibration_world import VirtualServer

from jevons.proxy.bench.gpu.checks import CHECKS, step_law
from jevons.proxy.bench.gpu.outcome import QUICK
from jevons.proxy.calibration.stages import Played
from jevons.proxy.calibration.windows import Rates
from jevons.proxy.errors import JevonsError
from jevons.proxy.simulation.physics import LLAMA_3_1_8B


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


async def test_the_law_of_a_step_is_found(monkeypatch):
    """On an engine that obeys it the line has the engine's own fixed part, and fits."""
    server = VirtualServer(LLAMA_3_1_8B)

    async def play(_client, stage):
        return server.play(stage)

    async def joules(_begin, _end):
        return server.joules

    monkeypatch.setattr("jevons.proxy.bench.gpu.checks.play", play)
    rates = Rates(tokens_per_chunk=1.0, tokens_per_word=1.0, read_seconds_per_token=0.0)
    world = SimpleNamespace(direct=None, joules=joules, calibration=SimpleNamespace(rates=rates))
    outcome = await step_law(world, QUICK)
    assert outcome.is_passed
    assert outcome.value > 0.999
    assert outcome.figures["batch"] == pytest.approx(QUICK.batches, rel=0.02)
    assert outcome.figures["fixed"] == pytest.approx(LLAMA_3_1_8B.energy.fixed_joules_per_step, rel=0.02)
