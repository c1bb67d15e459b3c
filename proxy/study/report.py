"""A study's report: from the raw lines to a document. What it says of the data is in `sections`, of others' in `surroundings`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .bootstrap import RESAMPLES
from .dataset import Dataset
from .document import Block, Document, Heading, Paragraph, as_markdown
from .page import as_html
from .plot_style import standalone
from .raw import Raw
from .sections import arms_section, category_section, concurrency_section, difference_sections, finding, quality_section
from .surroundings import limits_section, reference_section, reproducibility_section, trouble_section
from .wording import methods_text

HTML: Final = "report.html"
MARKDOWN: Final = "report.md"
PLOTS: Final = "plots"


def make_report(raw: Raw, *, resamples: int = RESAMPLES) -> Document:
    """The whole report; one without a usable answer says so and why."""
    data = Dataset(raw)
    header = raw.header
    blocks: list[Block] = []
    if data.arms:
        blocks += finding(data, resamples)
        blocks += arms_section(data, resamples)
        blocks += difference_sections(data, resamples)
        blocks += category_section(data, resamples)
        blocks += concurrency_section(data, resamples)
        blocks += quality_section(data, resamples)
        blocks += reference_section(data, resamples)
    else:
        blocks += [Heading("Nothing to report"), Paragraph("No request ended with a known energy and a known number of tokens.")]
    blocks += trouble_section(data)
    blocks += limits_section(data)
    blocks += reproducibility_section(data)
    return Document(header.name, methods_text(data.methods) if data.methods else header.method or "unknown", blocks)


def write_report(raw: Raw, folder: Path) -> Document:
    """`report.html`, `report.md` and the pictures as files."""
    document = make_report(raw)
    (folder / HTML).write_text(as_html(document), encoding="utf-8")
    (folder / MARKDOWN).write_text(as_markdown(document, plots=PLOTS), encoding="utf-8")
    (folder / PLOTS).mkdir(exist_ok=True)
    for plot in document.plots:
        (folder / PLOTS / f"{plot.name}.svg").write_text(standalone(plot.svg), encoding="utf-8")
    return document
