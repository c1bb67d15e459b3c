"""Blocks as Markdown."""

from jevons.proxy.study.document import Bullets, Document, Heading, Paragraph, Plot, Table, as_markdown

DOCUMENT = Document(
    "Title",
    "simulated",
    [
        Heading("Part"),
        Paragraph("Words."),
        Bullets(["one", "two"]),
        Table(("a", "b"), [("x|y", "1")]),
        Plot("curve", "<svg/>", "A curve"),
    ],
)


def test_markdown():
    """Every block has its form; the method stands under the title; a bar in a cell does not end it."""
    text = as_markdown(DOCUMENT)
    assert text.startswith("# Title\n\n**method: simulated**\n\n## Part\n\nWords.\n\n- one\n- two\n\n")
    assert "| a | b |\n| --- | ---: |\n| x\\|y | 1 |" in text
    assert "![A curve](plots/curve.svg)\n\n*A curve*\n" in text
    assert [plot.name for plot in DOCUMENT.plots] == ["curve"]
