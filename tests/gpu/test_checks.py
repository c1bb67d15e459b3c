"""The checks on a real board, with a model of random weights in plain torch, or with a server that the environment names."""

import os
from importlib.util import find_spec

import pytest

from jevons.proxy.bench.gpu.outcome import SHORT
from jevons.proxy.bench.gpu.run import Plan, run_bench
from jevons.proxy.calibration.calibrate import Options
from jevons.proxy.exchange import Upstream

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(900)]

URL, MODEL = "JEVONS_GPU_URL", "JEVONS_GPU_MODEL"


@pytest.fixture
def plan():
    """The server that `JEVONS_GPU_URL` and `JEVONS_GPU_MODEL` name, else one of random weights where there is torch."""
    calibration = Options(seconds=40.0, streams=16)
    if URL in os.environ:
        return Plan(Upstream("bench", os.environ[URL], os.environ[MODEL]), scale=SHORT, calibration=calibration)
    if find_spec("torch") is None:
        pytest.skip(f"needs torch, or a server in {URL} and {MODEL}")
    return Plan(shape="random-1b", scale=SHORT, calibration=calibration)


async def test_the_checks_hold(plan):
    """Each of them, at its full limit."""
    run = await run_bench(plan, lambda _line: None)
    assert run.failed == {}
    assert [outcome for outcome in run.outcomes if not outcome.is_passed] == []
    assert not run.calibration.is_simulated
