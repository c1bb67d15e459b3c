"""What tests of `bench gpu` need: a calibration that knows the truth, and a world of real processes on a simulated board."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime

from jevons.proxy.bench.gpu.outcome import Outcome
from jevons.proxy.bench.gpu.run import Run
from jevons.proxy.bench.machine import Machine
from jevons.proxy.calibration.calibrate import Calibration
from jevons.proxy.calibration.solving import TERMS, Fitted, Term
from jevons.proxy.calibration.windows import Rates
from jevons.proxy.exchange import Upstream
from jevons.proxy.metering.meter import Device
from jevons.proxy.simulation.gpu import IDLE_WATTS
from jevons.proxy.simulation.physics import LLAMA_3_1_8B

NAME = "NVIDIA H100 80GB HBM3 (simulated)"


def true_calibration(upstream: Upstream, rates: Rates) -> Calibration:
    """What a perfect calibration of the simulated server would say."""
    terms = [
        Term(name, joules, joules, 0.01 * joules, joules)
        for name, joules in zip(TERMS, astuple(LLAMA_3_1_8B.energy), strict=True)
    ]
    return Calibration(
        upstream=upstream,
        devices=(Device("GPU-1", NAME),),
        at=datetime(2026, 11, 23, tzinfo=UTC),
        is_simulated=True,
        idle_watts=IDLE_WATTS,
        seconds=0.0,
        rates=rates,
        fitted=Fitted(tuple(terms), 1.0, 0.0, 30),
        stages=(),
        windows=(),
        notes=("A note.",),
    )


def made_up_run(*outcomes: Outcome) -> Run:
    """A run with these outcomes."""
    upstream = Upstream("bench", "http://127.0.0.1:1/v1", "some-8b")
    calibration = true_calibration(upstream, Rates(1.0, 1.0, 0.0))
    machine = Machine("a processor", 2, "Linux 6", "Debian", "3.11")
    return Run(machine, datetime(2026, 11, 23, 12, tzinfo=UTC), calibration, list(outcomes))


LAW = Outcome(
    "step_law",
    "Energy per step",
    0.999,
    0.98,
    "3.2 J + 0.05 J per sequence",
    is_floor=True,
    figures={"batch": [1.0, 2.0, 4.0], "joules_per_step": [3.2, 3.3, 3.4], "fixed": 3.1, "slope": 0.08},
)
SAME = Outcome("identical", "Identical requests", 0.01, 0.02, "50 J each", figures={"joules": [50.0, 50.2, 49.8]})
LENGTHS = Outcome(
    "lengths",
    "Short and long answers",
    0.01,
    0.03,
    "50 J for 16 tokens",
    figures={
        "answers": [8, 1],
        "tokens": [16.0, 1024.0],
        "charged": [50.0, 3200.0],
        "counted": [50.5, 3200.0],
        "per_token": [3.125, 3.125],
        "beside": [5.0, 300.0],
        "beside_per_token": [0.3125, 0.293],
    },
)
