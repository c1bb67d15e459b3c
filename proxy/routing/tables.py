"""The figures of routers as Markdown, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .evaluation import IMPUTED, Judged
from .metrics import Estimate, Point, Ranking, first_reaching
from .tuning import Tuned

NONE: Final = "n/a"
_COLUMNS: Final = ("auroc", "apgr", "cpt50", "cpt80", "calls95", "tokens_saved", "joules_saved")
_TITLES: Final = ("AUROC", "APGR", "CPT50", "CPT80", "calls for 95 %", "tokens saved", "joules saved")


def figures_table(report: Mapping[str, Any]) -> str:
    """`route eval` for people: the score overall and by source, then the baselines overall."""
    lines = [f"| | n | {' | '.join(_TITLES)} |", f"|---|---|{'---|' * len(_TITLES)}"]
    lines.append(_row("score", report["overall"], has_interval=True))
    lines += [_row(f"· {source}", figures, has_interval=True) for source, figures in report["by_source"].items()]
    lines += [_row(name, baseline["overall"], has_interval=False) for name, baseline in report["baselines"].items()]
    notes = []
    if report["overall"]["joules_saved"]:
        notes.append(f"Joules per token: {report['joules_per_token']}.")
    if report["imputed"]:
        notes.append(f"Lengths are imputed: {report['imputed']}.")
    if report["skipped"]:
        notes.append(f"{report['skipped']} rows lack a result of one of the two models and are left out.")
    notes += [
        f"Everyday rows, {kind}: {one['reasoning']:.1%} of {one['n']} go to reasoning."
        for kind, one in report["everyday"].items()
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def comparison_table(judged: Sequence[Judged], differences: Mapping[str, Estimate | None]) -> str:
    """One row to a router, and by how much our score's APGR exceeds each other's, with the paired interval."""
    sources = list(judged[0].by_source)
    lines = [
        f"| router | AUROC | APGR | CPT50 | CPT80 | calls for 95 % | score's lead in APGR | {' | '.join(sources)} |",
        f"|---|---|---|---|---|---|---|{'---|' * len(sources)}",
    ]
    for one in judged:
        lead = differences.get(one.name)
        shown = NONE if lead is None else f"{lead.value:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}]"
        cells = [_cell(name, one.overall.get(name), has_interval=name == "apgr") for name in _COLUMNS[:5]]
        own = [_cell("apgr", one.by_source[source].get("apgr"), has_interval=False) for source in sources]
        lines.append(f"| {one.name} | {' | '.join(cells)} | {shown} | {' | '.join(own)} |")
    return "\n".join(lines) + "\n"


def cost_table(judged: Sequence[Judged], *, threshold: float, is_imputed: bool, unit: str) -> str:
    """What a right answer costs: always and never, and each router where it keeps 95 % of reasoning's accuracy."""
    lines = [f"| who reasons | calls | right | {unit} per prompt | {unit} per right answer |", "|---|---|---|---|---|"]
    curve = Ranking(judged[0].rows).curve()
    lines += [_cost("always", curve[-1], unit), _cost("never", curve[0], unit)]
    wanted = 0.95 * curve[-1].accuracy
    for one in judged:
        point = first_reaching(Ranking(one.rows).curve(), wanted)
        lines.append(_cost(f"{one.name}, where it keeps 95 %", point, unit))
    flag = f"imputed: {IMPUTED}" if is_imputed else "lengths as the data has them"
    return "\n".join(lines) + f"\n\nThe score's own threshold is {threshold:g}. What {unit} are: {flag}.\n"


def front_table(tuned: Tuned) -> str:
    """What each share of reasoning calls buys, judged on labels that the score has not seen, and where the line was drawn."""
    lines = [f"{tuned.labels} labels", "", "| calls | right |", "|---|---|"]
    lines += [f"| {point.calls:.0%} | {point.accuracy:.1%} |" for point in tuned.front]
    lines.append(f"\nThreshold {tuned.threshold:g}: {tuned.chosen.calls:.0%} of calls, {tuned.chosen.accuracy:.1%} right.")
    for name, figures in (("held out", tuned.figures), ("shipped score", tuned.shipped_figures)):
        one = figures["apgr"]
        if one is not None:
            lines.append(f"APGR, {name}: {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]")
    return "\n".join(lines) + "\n"


def _cost(name: str, point: Point, unit: str) -> str:
    spent = getattr(point, unit)
    each = NONE if spent is None else f"{spent:,.0f}"
    right = NONE if spent is None or not point.accuracy else f"{spent / point.accuracy:,.0f}"
    return f"| {name} | {point.calls:.1%} | {point.accuracy:.1%} | {each} | {right} |"


def _row(name: str, figures: Mapping[str, Any], *, has_interval: bool) -> str:
    cells = [_cell(column, figures.get(column), has_interval=has_interval) for column in _COLUMNS]
    return f"| {name} | {figures['n']} | {' | '.join(cells)} |"


def _cell(name: str, figure: Mapping[str, float] | None, *, has_interval: bool) -> str:
    if figure is None:
        return NONE
    form = ".3f" if name in {"auroc", "apgr"} else ".1%"
    text = format(figure["value"], form)
    return f"{text} [{figure['low']:{form}}, {figure['high']:{form}}]" if has_interval else text
