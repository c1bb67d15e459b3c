"""`jevons bench gpu` from the command line."""

import json

import pytest
import structlog
from click.testing import CliRunner

from jevons.proxy.bench.cli import bench
from jevons.proxy.bench.gpu.outcome import QUICK
from jevons.proxy.bench.gpu.run import NAMES

ABSENT = "GPU-00000000-0000-0000-0000-000000000000"


@pytest.fixture
def invoke():
    """Runs the verb; the logging that it sets up is undone."""
    yield lambda *arguments: CliRunner().invoke(bench, ["gpu", *arguments])
    structlog.reset_defaults()


@pytest.mark.timeout(300)
def test_the_whole_of_it_simulated(invoke, tmp_path):
    """It calibrates, puts the proxy in front and runs every check; three files say that they are simulated, and what came out.

    It runs in real time, so that what a busy machine does to the figures decides which limits hold, and with them the exit code;
    conservation holds whatever the machine does. That the figures are right is seen in virtual time (`test_checks`,
    `test_solving`).
    """
    out = tmp_path / "results"
    done = invoke("--simulated", "--short", "--out", str(out), "--json")
    assert {path.name for path in out.iterdir()} == {"gpu-simulated.json", "gpu-simulated.md", "gpu-simulated.svg"}, done.output
    data = json.loads(done.stdout)
    assert data["method"] == "simulated"
    assert data["command"] == "jevons bench gpu --simulated --short"
    assert data["failed"] == {}
    assert [check["name"] for check in data["checks"]] == list(NAMES)
    for check in data["checks"]:
        assert check["is_passed"] == (check["value"] >= check["limit"] if check["is_floor"] else check["value"] <= check["limit"])
    assert done.exit_code == (0 if all(check["is_passed"] for check in data["checks"]) else 1)
    assert data["checks"][-1]["is_passed"], "conservation knows no excuse"
    figures = {check["name"]: check["figures"] for check in data["checks"]}
    assert figures["conservation"]["scrapes"] > 20
    assert len(figures["marginal"]["measured"]) == QUICK.marginal
    assert len(figures["step_law"]["batch"]) >= 3
    assert figures["lengths"]["tokens"] == list(QUICK.lengths)
    calibration = data["calibration"]
    assert sum(stage["windows"] for stage in calibration["stages"]) == calibration["windows"] >= 8
    assert set(calibration["energy"]) >= {"fixed_joules_per_step", "joules_per_prompt_token"}
    for suffix in ("md", "svg"):
        assert "SIMULATED" in (out / f"gpu-simulated.{suffix}").read_text()


@pytest.mark.parametrize(
    "server", [(), ("--torch", "random-8b"), ("--transformers", "random-1b"), ("--url", "http://127.0.0.1:1/v1", "--model", "m")]
)
def test_without_a_board_it_says_what_it_would_do(invoke, server):
    """It exits with 0, with the reason and every check that it would run; nothing is started."""
    done = invoke("--device", ABSENT, *server)
    assert done.exit_code == 0, done.output
    assert "nothing was measured" in done.stdout
    assert ABSENT in done.stdout
    assert "marginal: " in done.stdout
    assert "lengths: " in done.stdout
    assert server[1] in done.stdout if server else "start one" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--url", "http://127.0.0.1:1/v1"), "--url and --model come together"),
        (("--simulated", "--torch", "random-1b"), "name one server"),
        (("--transformers", "random-1b", "--torch", "random-1b"), "name one server"),
        (("--simulated", "--only", "tea"), "'tea' is none of step_law"),
    ],
)
def test_what_cannot_be_meant_is_refused(invoke, options, message):
    """Exit code 2, with what to change."""
    done = invoke(*options)
    assert done.exit_code == 2
    assert message in done.stderr
