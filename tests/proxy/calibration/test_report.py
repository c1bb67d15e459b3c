"""A calibration in words, as data, and as YAML that the configuration takes."""

import json
from datetime import UTC, datetime

import pytest
from calibration_world import VirtualServer

from jevons.proxy.calibration.calibrate import Calibration
from jevons.proxy.calibration.report import as_data, render, snippet
from jevons.proxy.calibration.solving import fit
from jevons.proxy.calibration.stages import plan_stages
from jevons.proxy.calibration.windows import Rates, cut_windows
from jevons.proxy.config_file import parse_config
from jevons.proxy.exchange import Upstream
from jevons.proxy.metering.coefficients import prior
from jevons.proxy.metering.meter import Device
from jevons.proxy.simulation.physics import LLAMA_3_1_8B


@pytest.fixture(params=[True, False], ids=["all", "without prompts"])
def found(request):
    """A calibration in virtual time; without long prompts, or with them."""
    server = VirtualServer(LLAMA_3_1_8B)
    stages = [server.play(stage) for stage in plan_stages(24.0, 8) if request.param or stage.output_tokens > 1000]
    rates = Rates.of([*server.play(stage_of_ended()).streams])
    windows = cut_windows(stages, server.joules, rates)
    device = Device("GPU-1", "NVIDIA H100 (simulated)")
    upstream = Upstream("chat", "http://127.0.0.1:8000/v1", "Llama-3.1-8B")
    fitted = fit(windows, prior("Llama-3.1-8B", None))
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Calibration(
        upstream=upstream,
        devices=(device,),
        at=at,
        is_simulated=True,
        idle_watts=75.0,
        seconds=24.0,
        rates=rates,
        fitted=fitted,
        stages=tuple(stages),
        windows=tuple(windows),
        notes=("A note.",),
    )


def stage_of_ended():
    """A stage whose streams end, so that they have counts."""
    return plan_stages(24.0, 2)[-1]


def test_the_snippet_is_a_configuration(found):
    """Put below its upstream it is read, and holds what is to be used; that it is simulated stands in it."""
    text = "upstreams:\n  - name: chat\n    url: http://127.0.0.1:8000/v1\n    model: m\n" + snippet(found)
    energy = parse_config(text).upstreams[0].energy
    assert energy is not None
    for term in found.fitted.terms:
        assert getattr(energy, term.name) == pytest.approx(term.used, rel=1e-3)
        is_marked = f"{term.name}: {term.used:.4g}  # not identified" in text
        assert is_marked == (term.joules is None)
        assert getattr(energy.relative_errors, term.name) == pytest.approx(term.doubt, rel=0.05)
    assert "SIMULATED" in text
    assert ("not identified" in text) == (len(found.stages) < len(plan_stages(24.0, 8)))


def test_the_table_has_every_term(found):
    """Each term has its line with what was found, or that it was not; R², windows, idle power and notes are there."""
    text = render(found)
    for term in found.fitted.terms:
        [line] = [line for line in text.splitlines() if line.strip().startswith(f"{term.name} ")]
        assert ("not identified" in line) == (term.joules is None)
        assert f"{term.start:.4g}" in line
    assert "upstream chat (simulated): Llama-3.1-8B" in text
    assert f"R² {found.fitted.r_squared:.4f}" in text
    assert "idle: 75.0 W" in text
    assert "    A note." in text.splitlines()


def test_the_data_is_json(found):
    """What programs get is JSON, unknown figures null."""
    data = json.loads(json.dumps(as_data(found)))
    assert data["method"] == "simulated"
    assert data["energy"].keys() == data["relative_errors"].keys() == {term.name for term in found.fitted.terms}
    assert [term["joules"] is None for term in data["terms"]] == [term.joules is None for term in found.fitted.terms]
    assert data["notes"] == ["A note."]
