"""The report as a page: well-formed, whole in itself, with nothing of a prompt or a name taken as markup."""

import re
from html.parser import HTMLParser

from jevons.proxy.study.document import Document, Heading, Paragraph, Plot, Table
from jevons.proxy.study.page import as_html

VOID = {"meta", "br", "circle", "line", "path", "rect"}


class Balance(HTMLParser):
    """Every element that opens closes."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, _attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def page(*blocks):
    """The page of these blocks, checked to be well-formed."""
    text = as_html(Document("A <study>", "measured", blocks))
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    return text


def test_the_page_needs_nothing_else():
    """No script, no address to fetch from; light and dark; the method in the header."""
    text = page(Heading("Part"), Paragraph("`code` and **bold**"))
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="', text) == []
    assert "prefers-color-scheme: dark" in text
    assert "method: <strong>measured</strong>" in text
    assert "<code>code</code> and <strong>bold</strong>" in text


def test_names_are_no_markup():
    """What stands in a study cannot write into the page."""
    text = page(Table(("a",), [("<script>alert(1)</script>",)]), Paragraph("<img src=x>"))
    assert "<script>" not in text
    assert "<img" not in text
    assert "<title>A &lt;study&gt;</title>" in text


def test_pictures_in_a_row_share_a_grid():
    """Two pictures side by side, one by itself after them."""
    plot = Plot("p", "<svg></svg>", "caption")
    text = page(plot, plot, Paragraph("x"), plot)
    assert text.count('<div class="plots">') == 2
    assert text.count("<figure>") == 3
