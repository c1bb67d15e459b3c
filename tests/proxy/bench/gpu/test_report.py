"""The page and the data of a run; what is simulated says so at the top."""

import json
import math
from dataclasses import replace

import pytest
from gpu_bench_world import LAW, LENGTHS, SAME, made_up_run

from jevons.proxy.bench.gpu.report import describe_plan, markdown, results_json
from jevons.proxy.bench.gpu.run import NAMES, Plan


def test_the_page():
    """Checks with figure, limit and verdict; the failed ones with their reason; the calibration; the plot where there is one."""
    run = made_up_run(LAW, replace(SAME, value=0.05))
    run.failed["bypass"] = "the counter had a gap"
    page = markdown(run, "jevons bench gpu --simulated", plot="gpu.svg")
    assert page.splitlines()[0] == "# Metering on NVIDIA H100 80GB HBM3 (simulated): a SIMULATED board, no measurement"
    assert "| Energy per step | 0.999 | > 0.98 | yes | 3.2 J + 0.05 J per sequence |" in page
    assert "| Identical requests | 0.05 | ≤ 0.02 | **no** | 50 J each |" in page
    assert "| bypass | none | | no | the counter had a gap |" in page
    assert "](gpu.svg)" in page
    assert "| `joules_per_token` | 0.0516 |" in page
    assert "- A note." in page
    assert "](" not in markdown(run, "x")


def test_batches_and_lengths_are_tables():
    """Each batch size beside the line, each length with what its answer costs alone, by the counter, and in company."""
    page = markdown(made_up_run(LAW, LENGTHS, SAME), "x")
    assert "| 4.0 | 3.4 | 0.85 | 3.42 |" in page
    assert "| 16 | 8 | 50 | 50.5 | 0.990 | 3.12 | 5 | 0.312 |" in page
    assert page.count("\n## ") == 3


def test_a_real_board_is_not_called_simulated():
    """The word stands where it belongs and nowhere else."""
    run = made_up_run(LAW)
    device = replace(run.calibration.devices[0], name="NVIDIA H200")
    run.calibration = replace(run.calibration, is_simulated=False, devices=(device,))
    page = markdown(run, "jevons bench gpu")
    assert page.splitlines()[0] == "# Metering on NVIDIA H200"
    assert "imulated" not in page
    assert json.loads(results_json(run, "x"))["method"] == "measured"


def test_the_data():
    """JSON that holds everything; a figure that is no number is null."""
    run = made_up_run(LAW, replace(SAME, value=math.nan))
    data = json.loads(results_json(run, "jevons bench gpu --simulated"))
    assert (data["method"], data["is_passed"]) == ("simulated", False)
    assert [check["value"] for check in data["checks"]] == [0.999, None]
    assert data["checks"][0]["figures"]["batch"] == [1.0, 2.0, 4.0]
    assert data["calibration"]["energy"]["fixed_joules_per_step"] == pytest.approx(3.16)


@pytest.mark.parametrize("only", [(), ("alone",)])
def test_what_would_be_run(only):
    """Without a board the reason is told, and each check that was wanted with what it asks."""
    text = describe_plan(Plan(only=only), "no driver")
    assert "no driver" in text
    assert "batches of up to 128" in text
    lines = [line.strip().partition(":")[0] for line in text.splitlines()]
    assert [name for name in NAMES if name in lines] == (list(only) or list(NAMES))


def test_the_server_that_would_be_started():
    """The model and what computes it are named."""
    text = describe_plan(Plan(shape="random-8b", program="transformers"), "no driver")
    assert "start transformers with random-8b, a model of random weights" in text
