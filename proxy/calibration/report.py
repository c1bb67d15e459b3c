"""A calibration for people, for programs, and for the configuration."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from .calibrate import Calibration
from .solving import Term
from .windows import WINDOW_SECONDS

SIMULATED = "simulated"
MEASURED = "measured"


def as_data(found: Calibration) -> dict[str, Any]:
    """Everything that `--json` prints."""
    fitted = found.fitted
    return {
        "version": version("jevons"),
        "at": found.at.isoformat(timespec="seconds"),
        "upstream": found.upstream.name,
        "model": found.upstream.model,
        "method": SIMULATED if found.is_simulated else MEASURED,
        "devices": [{"device": device.id, "name": device.name, "scope": device.scope} for device in found.devices],
        "idle_watts": found.idle_watts,
        "load_seconds": found.seconds,
        "windows": fitted.windows,
        "r_squared": fitted.r_squared,
        "worst_residual": fitted.worst_residual,
        "tokens_per_chunk": found.rates.tokens_per_chunk,
        "terms": [asdict(term) for term in fitted.terms],
        "energy": asdict(fitted.coefficients),
        "relative_errors": {term.name: term.doubt for term in fitted.terms},
        "stages": [_stage(found, number) for number in range(len(found.stages))],
        "notes": list(found.notes),
    }


def _stage(found: Calibration, number: int) -> dict[str, Any]:
    played = found.stages[number]
    windows = [window for window in found.windows if window.stage == number]
    steps = sum(window.steps for window in windows)
    return {
        "stage": str(played.stage),
        "streams": played.stage.streams,
        "seconds": played.ended - played.began,
        "windows": len(windows),
        "joules_per_step": sum(window.joules for window in windows) / steps if steps else None,
    }


def render(found: Calibration) -> str:
    """The same in words and a table."""
    fitted = found.fitted
    mark = " (simulated)" if found.is_simulated else ""
    lines = [
        f"upstream {found.upstream.name}{mark}: {found.upstream.model}",
        *(f"    on {device.id}, {device.name}" for device in found.devices),
        f"    idle: {found.idle_watts:.1f} W; load: {found.seconds:.0f} s, {len(found.stages)} stages",
        "",
        f"    {'joules':<26}{'found':>11}{'error':>9}{'start value':>14}{'found/start':>13}",
        *(f"    {_row(term)}" for term in fitted.terms),
        "",
        f"    R² {fitted.r_squared:.4f} of joules per step over {fitted.windows} windows of {WINDOW_SECONDS:g} s",
        f"    the worst window is {fitted.worst_residual:.1%} off",
        *(f"    {note}" for note in found.notes),
        "",
        f"For upstream {found.upstream.name} in the configuration:",
        "",
        snippet(found),
    ]
    return "\n".join(lines)


def _row(term: Term) -> str:
    if term.joules is None or term.error is None:
        return f"{term.name:<26}{'not identified':>20}{term.start:>14.4g}{'':>13} {term.reason}"
    ratio = f"{term.joules / term.start:.2f}" if term.start else "-"
    return f"{term.name:<26}{term.joules:>11.4g}{term.error / term.joules:>9.1%}{term.start:>14.4g}{ratio:>13}"


def snippet(found: Calibration) -> str:
    """The `energy` section, as YAML to put below the upstream."""
    names = ", ".join(device.name for device in found.devices)
    lines = [
        f"    # by `jevons calibrate` on {found.at:%Y-%m-%d}: {names}, R² {found.fitted.r_squared:.3f}",
        *(["    # SIMULATED: these are a simulated board's"] if found.is_simulated else []),
        "    energy:",
    ]
    for term in found.fitted.terms:
        remark = "" if term.joules is not None else "  # not identified: its start value, to the others' scale"
        lines.append(f"      {term.name}: {term.used:.4g}{remark}")
    lines += ["      relative_errors:", *(f"        {term.name}: {term.doubt:.2g}" for term in found.fitted.terms)]
    return "\n".join(lines) + "\n"
