"""The results of a run on one board: as data, and as a Markdown page."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from ...calibration.report import as_data, snippet
from .checks import CHECKS
from .outcome import STEADY_STREAMS, Outcome
from .run import Plan, Run


def title(run: Run) -> str:
    """What stands above everything; a simulation says so here."""
    names = ", ".join(dict.fromkeys(device.name for device in run.calibration.devices))
    return f"Metering on {names}" + (": a SIMULATED board, no measurement" if run.calibration.is_simulated else "")


def results(run: Run, command: str) -> dict[str, object]:
    """Everything, for programs."""
    return {
        "command": command,
        "version": version("jevons"),
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "method": "simulated" if run.calibration.is_simulated else "measured",
        "machine": run.machine,
        "is_passed": run.is_passed,
        "checks": [
            {
                "name": outcome.name,
                "title": outcome.title,
                "value": outcome.value,
                "limit": outcome.limit,
                "is_floor": outcome.is_floor,
                "is_passed": outcome.is_passed,
                "detail": outcome.detail,
                "figures": outcome.figures,
            }
            for outcome in run.outcomes
        ],
        "failed": run.failed,
        "calibration": as_data(run.calibration),
    }


def results_json(run: Run, command: str) -> str:
    """The same as JSON; what is not a number is null."""
    return msgspec.json.format(msgspec.json.encode(results(run, command)), indent=1).decode() + "\n"


def markdown(run: Run, command: str, *, plot: str | None = None) -> str:
    """The page: where and when, the checks, the calibration."""
    fitted, machine = run.calibration.fitted, run.machine
    lines = [
        f"# {title(run)}\n",
        f"- {run.started_at:%Y-%m-%d %H:%M} UTC, `{command}`, jevons {version('jevons')}",
        f"- model: {run.calibration.upstream.model}",
        f"- host: {machine.cpu}, {machine.cores} cores; {machine.kernel}; {machine.system}; Python {machine.python}",
        f"- idle with the model loaded: {run.calibration.idle_watts:.1f} W\n",
        "| check | figure | limit | holds | |",
        "| --- | ---: | ---: | --- | --- |",
        *(_row(outcome) for outcome in run.outcomes),
        *(f"| {name} | none | | no | {reason} |" for name, reason in run.failed.items()),
        "",
    ]
    for outcome in run.outcomes:
        lines += _table(outcome)
    if plot:
        lines.append(f"![Energy per step by batch size, of identical requests, and per token by length]({plot})\n")
    lines += [
        "## Calibration\n",
        f"R² {fitted.r_squared:.4f} of joules per step over {fitted.windows} windows.\n",
        "| joules | found | standard error | start value |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| `{term.name}` | {'not identified' if term.joules is None else f'{term.joules:.4g}'}"
            f" | {'' if term.error is None else f'{term.error:.2g}'} | {term.start:.4g} |"
            for term in fitted.terms
        ),
        "",
        *(f"- {note}" for note in run.calibration.notes),
        f"```\n{snippet(run.calibration)}```",
    ]
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> str:
    sign = ">" if outcome.is_floor else "≤"
    holds = "yes" if outcome.is_passed else "**no**"
    return f"| {outcome.title} | {outcome.value:.3g} | {sign} {outcome.limit:g} | {holds} | {outcome.detail} |"


def _table(outcome: Outcome) -> list[str]:
    """The figures behind a check that are a table of their own."""
    figures: dict[str, Any] = outcome.figures
    if outcome.name == "step_law":
        head = [
            "## Step by batch size\n",
            "| sequences | J per step | J per token | by the line |",
            "| ---: | ---: | ---: | ---: |",
        ]
        rows = [
            f"| {batch:.1f} | {joules:.4g} | {joules / batch:.3g} | {figures['fixed'] + figures['slope'] * batch:.4g} |"
            for batch, joules in zip(figures["batch"], figures["joules_per_step"], strict=True)
        ]
    elif outcome.name == "lengths":
        head = [
            "## Length of the answer\n",
            f"The same question, its answer alone and beside {STEADY_STREAMS} others; means.\n",
            "| tokens | answers | J charged | J counted | charged/counted | J per token | J beside others | J per token there |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        keys = ("tokens", "answers", "charged", "counted", "per_token", "beside", "beside_per_token")
        rows = [
            f"| {tokens:.0f} | {answers:.0f} | {charged:.4g} | {counted:.4g} | {charged / counted:.3f}"
            f" | {each:.3g} | {beside:.4g} | {each_beside:.3g} |"
            for tokens, answers, charged, counted, each, beside, each_beside in zip(*(figures[key] for key in keys), strict=True)
        ]
    else:
        return []
    return [*head, *rows, ""]


def describe_plan(plan: Plan, reason: str) -> str:
    """What would be run, and why it is not."""
    wanted = {check.__name__: (check.__doc__ or "").splitlines()[0] for check in CHECKS if check in plan.checks}
    return "\n".join(
        [
            "No GPU can be read here, so nothing was measured:",
            f"    {reason}",
            f"On a machine with one this would {_start_of(plan)}, take {plan.calibration.seconds:g} s of load for a calibration,",
            f"put the proxy in front, and run these checks, with batches of up to {max(plan.scale.batches)}:",
            *(f"    {name}: {text}" for name, text in wanted.items()),
            "`--simulated` runs the same against a simulated board, and says so in every result.",
        ]
    )


def _start_of(plan: Plan) -> str:
    if plan.upstream is not None:
        return f"ask the server at {plan.upstream.base_url}"
    if plan.shape is None:
        return "ask the server that --url and --model name, or start one (--torch, --transformers)"
    return f"start {plan.program} with {plan.shape}, a model of random weights"
