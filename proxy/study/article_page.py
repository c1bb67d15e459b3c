"""The article's numbers and the simulation's side by side: `docs/results/article.md`, its pictures, and the same for programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from .article import LIE, MEAN_TOKENS, META, R1, RATIO, RATIO_SIGMA, SIGMA, TOKENS_PER_WORD, ArticleStudy, Simulated
from .bootstrap import Interval
from .decomposition import waterfall
from .document import Block, Bullets, Document, Heading, Paragraph, Plot, Table, as_markdown
from .plot_style import standalone
from .plots import Curve, batch_curve, distributions, waterfall_plot
from .reference import Row, citation, load_article
from .wording import UNKNOWN, change, figure

FILE: Final = "article.md"
PLOTS: Final = "article"
COMMAND: Final = "jevons study article --out docs/results"
ARTICLE_JOULES: Final = 17_800.0
ARTICLE_MEAN_JOULES: Final = 512.0


def write_article(study: ArticleStudy, folder: Path) -> Document:
    """The page and its pictures."""
    document = article_document(study)
    (folder / PLOTS).mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(as_markdown(document, plots=PLOTS), encoding="utf-8")
    for plot in document.plots:
        (folder / PLOTS / f"{plot.name}.svg").write_text(standalone(plot.svg), encoding="utf-8")
    return document


def article_document(study: ArticleStudy) -> Document:
    """All of it."""
    article = load_article()
    blocks: list[Block] = [
        Paragraph(
            "Does a reasoning model cost more because its tokens do, or because it says more? A step-by-step simulation of "
            "Llama-3.1-70B on "
            "public coefficients, with the article's lengths, beside the article's numbers. No card drew these joules: what the "
            "simulation can show is that the ratios follow from the lengths, and that the absolute figures follow from the batch."
        ),
        Paragraph(f"Made by `{COMMAND}`, without a clock: the same figures on every machine."),
        Heading("Side by side"),
        _side_by_side(study),
        *_reading(study),
        *_batch(study),
        *_pictures(study),
        *_routing(study),
        Heading("What goes in, and what comes out"),
        Bullets(_assumptions()),
        Heading("Sources"),
        Bullets([f"{article.source}.", f"{citation()} (data under Apache-2.0)."]),
    ]
    return Document("The article's question, simulated", "simulated", blocks)


def totals(run: Simulated, level: int) -> tuple[float, float, float]:
    """Ratios of energy, of length and of joules per token, R1 over Llama, from totals over the prompts."""
    pairs = run.data.pairs(META, R1, level)
    joules = sum(pair.joules[1] for pair in pairs) / sum(pair.joules[0] for pair in pairs)
    length = sum(pair.tokens[1] for pair in pairs) / sum(pair.tokens[0] for pair in pairs)
    return joules, length, joules / length


def lie_joules(run: Simulated) -> tuple[float, float]:
    """Of the article's prompt, by Llama and by R1, at one in flight."""
    return run.data.cells(META, 1)[LIE].joules, run.data.cells(R1, 1)[LIE].joules


def mean_joules(run: Simulated, arm: str, level: int) -> float:
    """Per response, each prompt weighing the same."""
    cells = run.data.cells(arm, level).values()
    return sum(cell.joules for cell in cells) / len(cells)


def joules_per_token(run: Simulated, arm: str, level: int) -> float:
    """From totals."""
    cells = run.data.cells(arm, level).values()
    return sum(cell.joules for cell in cells) / sum(cell.tokens for cell in cells)


def table_row(run: Simulated, level: int) -> Row | None:
    """The table's row at that batch, where it has one."""
    return next((row for row in run.hardware.rows if abs(row.batch / level - 1) < 0.02), None)  # noqa: PLR2004 - 127.8 is 128


def _side_by_side(study: ArticleStudy) -> Table:
    runs, busy = study.runs, max(study.runs[0].data.levels)
    head = ("", "article", *(run.hardware.name for run in runs))

    def row(what: str, said: str, *values: str) -> tuple[str, ...]:
        return (what, said, *values)

    at_one = [totals(run, 1) for run in runs]
    at_busy = [totals(run, busy) for run in runs]
    lies = [lie_joules(run) for run in runs]
    return Table(
        head,
        [
            row("40 prompts, R1 over Llama: energy, 1 in flight", "+87 %", *(change(one[0]) for one in at_one)),
            row("… length (goes in)", UNKNOWN, *(change(one[1]) for one in at_one)),
            row("… joules per token", "similar", *(f"{one[2]:.3f} x" for one in at_one)),
            row(f"… energy, {busy} in flight", UNKNOWN, *(change(one[0]) for one in at_busy)),
            row("the lie prompt, R1 over Llama: energy", "+41 %", *(change(one[1] / one[0]) for one in lies)),
            row("the lie prompt, R1, joules", f"{ARTICLE_JOULES:,.0f}", *(f"{one[1]:,.0f}" for one in lies)),
            row("… over the article's", "1", *(f"{one[1] / ARTICLE_JOULES:.2f} x" for one in lies)),
            row("Llama, mean joules per response, 1 in flight", UNKNOWN, *(f"{mean_joules(run, META, 1):,.0f}" for run in runs)),
            row(f"… {busy} in flight", f"{ARTICLE_MEAN_JOULES:,.0f}", *(f"{mean_joules(run, META, busy):,.0f}" for run in runs)),
            row(
                "… fall from 1 in flight",
                UNKNOWN,
                *(f"{mean_joules(run, META, 1) / mean_joules(run, META, busy):.0f} x" for run in runs),
            ),
        ],
    )


def _reading(study: ArticleStudy) -> list[Block]:
    first, lies = study.runs[0], [lie_joules(run)[1] for run in study.runs]
    busy = max(first.data.levels)
    one, many = mean_joules(first, META, 1), mean_joules(first, META, busy)
    low, high = min(lies), max(lies)
    return [
        Bullets(
            [
                (
                    "**The ratios come out.** At one in flight a token costs the same in either model to within a tenth of a "
                    "percent: the step's "
                    "fixed energy is nearly all of it, and context adds little. So the ratio of energies is the ratio of lengths."
                ),
                (
                    f"**The absolute figure does not.** The article's answer took {ARTICLE_JOULES:,.0f} J; the table's fits at "
                    f"batch 1 give "
                    f"{low:,.0f} to {high:,.0f} J on their two to eight cards, {low / ARTICLE_JOULES:.1f} to "
                    f"{high / ARTICLE_JOULES:.1f} times as "
                    "much. The article names no hardware; about 13 J per token would fit one card and a smaller precision, of "
                    "which the table "
                    "has no row. Batch 1 is an extrapolation of the fits. No coefficient was changed to come nearer."
                ),
                (
                    f"**17,800 against 512 J is mostly company.** The 512 J are the table's mean response at batch 192, on eight "
                    f"A100: the "
                    f"simulation gives {many:,.0f} J there, and {one:,.0f} J for the same answers alone, {one / many:.0f} times "
                    f"as much. "
                    "Between the two models it is 1.87."
                ),
                (
                    "**Equal joules per token hold at low batch only.** In company the fixed part is shared, and what is left, "
                    "context and "
                    "prompt, depends on lengths: the row for 192 in flight says by how much."
                ),
            ]
        )
    ]


def _batch(study: ArticleStudy) -> list[Block]:
    rows = []
    for run in study.runs:
        for level in run.data.levels:
            row = table_row(run, level)
            if row is not None:
                here = joules_per_token(run, META, level)
                rows.append(
                    (
                        run.hardware.name,
                        str(level),
                        figure(here),
                        figure(row.joules_per_token),
                        change(here / row.joules_per_token),
                        f"{mean_joules(run, META, level):,.0f}",
                        f"{row.joules_per_request:,.0f}",
                        f"{row.output_tokens:.0f}",
                    )
                )
    head = ("cards", "in flight", "J/token", "table", "off by", "J/response", "table", "table's tokens")
    return [
        Heading("The batch curve against the table"),
        Table(head, rows),
        Paragraph(
            f"Llama's arm, whose answers have {MEAN_TOKENS:g} tokens on average, as in the row of the 512 J; where the "
            f"table's answers are "
            "shorter, compare the joules per token. What the two differ by is the error of the fit, and a context and a "
            "prompt of this study's."
        ),
    ]


def _pictures(study: ArticleStudy) -> list[Block]:
    first = study.runs[0]
    curves = [
        Curve(
            f"{arm}, simulated", [(float(level), Interval(mean_joules(first, arm, level))) for level in first.data.levels], colour
        )
        for colour, arm in enumerate((META, R1))
    ]
    table = [(row.batch, Interval(row.joules_per_request)) for row in first.hardware.rows]
    curves.append(Curve("the table's rows for Llama-3.1-70B", table))
    start, steps, end = waterfall(first.data.pairs(META, R1, 1))
    cells = {arm: [(cell.prompt, cell.joules) for cell in first.data.cells(arm, 1).values()] for arm in (META, R1)}
    name = first.hardware.name
    return [
        Plot(
            "batch",
            batch_curve(curves),
            f"Joules per response by requests in flight, {name}, simulated, and the table's own rows.",
        ),
        Plot(
            "waterfall",
            waterfall_plot(start, steps, end, ("Llama", "R1"), (0, 1)),
            f"From Llama's mean response to R1's at one in flight, {name}, simulated.",
        ),
        Plot(
            "distributions", distributions(cells), f"Joules per response at one in flight, {name}, simulated. A dot is a prompt."
        ),
    ]


def _routing(study: ArticleStudy) -> list[Block]:
    total = len(study.prompts)
    rows = [
        (one.name, f"{one.to_reasoning} of {total}", f"{one.joules / 1e3:,.0f}", f"{one.saved:.0%}") for one in study.routings
    ]
    return [
        Heading("What routing would have saved"),
        Table(("who decides", "to R1", "kJ", "saved against always R1"), rows),
        Paragraph(
            f"The same {total} prompts at one in flight on {study.runs[0].hardware.name}, each sent to one of the two models. "
            f"Never thinking "
            "bounds what any router can save here. A simulation has no right and wrong answers, so this is the saving and not "
            "its price in quality."
        ),
    ]


def _assumptions() -> list[str]:
    return [
        (
            "In: joules and seconds per step and per token, fitted to each series of the table; context and prompt by the same "
            "rules as the "
            "proxy's start values (`proxy/study/hardware.py`)."
        ),
        (
            f"In: lengths. On the lie prompt 1,000 words by R1, at {TOKENS_PER_WORD} tokens a word, and 1.41 times fewer by "
            f"Llama; over all "
            f"prompts a mean of {MEAN_TOKENS:g} tokens by Llama and {RATIO} times as many by R1. That the ratio of lengths is "
            f"the "
            f"ratio of "
            "energies is the article's own reading: it does not give lengths for the other prompts."
        ),
        (
            f"In: how lengths scatter from prompt to prompt (log-normal, {SIGMA} and {RATIO_SIGMA}): an assumption that changes "
            f"no total."
        ),
        (
            "Out: every joule, each request charged its true share of every step of the simulated engine. Nothing was measured, "
            "and no proxy "
            "was in between: how well attribution finds these shares is another page's matter."
        ),
    ]


def article_json(study: ArticleStudy) -> dict[str, Any]:
    """For programs."""
    runs = []
    for run in study.runs:
        lies = lie_joules(run)
        levels = [
            {
                "in_flight": level,
                "joules_per_response": {arm: mean_joules(run, arm, level) for arm in (META, R1)},
                "joules_per_token": {arm: joules_per_token(run, arm, level) for arm in (META, R1)},
                "ratios": dict(zip(("energy", "length", "joules_per_token"), totals(run, level), strict=True)),
                "table_joules_per_token": row.joules_per_token if (row := table_row(run, level)) else None,
            }
            for level in run.data.levels
        ]
        runs.append(
            {"hardware": run.hardware.name, "lie_prompt_joules": dict(zip((META, R1), lies, strict=True)), "levels": levels}
        )
    routings = [
        {"by": one.name, "to_reasoning": one.to_reasoning, "joules": one.joules, "saved": one.saved} for one in study.routings
    ]
    return {
        "method": "simulated",
        "article": {"joules": ARTICLE_JOULES, "ratios": [RATIO, 1.41]},
        "runs": runs,
        "routing": routings,
    }
