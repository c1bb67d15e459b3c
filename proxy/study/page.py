"""A report as one HTML file that needs nothing else: light and dark, wide and narrow. Pure."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from .document import Block, Bullets, Document, Heading, Paragraph, Plot, Table
from .plot_style import COLOURS_DARK, COLOURS_LIGHT, PLOT_RULES

STYLE: Final = f"""
:root {{ color-scheme: light dark; {COLOURS_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {COLOURS_DARK} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }}
main {{ max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.2rem; margin: 2.6rem 0 .6rem; }}
h3 {{ font-size: 1rem; margin: 1.8rem 0 .5rem; }}
p, li {{ max-width: 46rem; }}
.method {{ display: inline-block; margin: 0 0 1rem; padding: .15rem .7rem; border: 1px solid var(--line); border-radius: 1rem;
  font-size: .85rem; color: var(--soft); }}
.scroll {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }}
th {{ color: var(--soft); font-weight: 600; vertical-align: bottom; }}
td {{ white-space: nowrap; }}
td.text {{ white-space: normal; min-width: 7rem; }}
th.text, td.text {{ text-align: left; padding-left: 0; }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 32rem)); gap: 1.5rem; align-items:
start; }} figure {{ margin: 1rem 0; }}
figure svg {{ width: 100%; height: auto; display: block; }}
figcaption {{ font-size: .85rem; color: var(--soft); margin-top: .4rem; max-width: 32rem; }}
code {{ font-size: .9em; overflow-wrap: anywhere; }}
a {{ color: inherit; }}
{PLOT_RULES}
"""
_CODE: Final = re.compile(r"`([^`]+)`")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")


def as_html(document: Document) -> str:
    """The whole page."""
    body: list[str] = []
    blocks = list(document.blocks)
    while blocks:
        block = blocks.pop(0)
        if isinstance(block, Plot):
            group = [block]
            while blocks and isinstance(blocks[0], Plot):
                group.append(blocks.pop(0))  # type: ignore[arg-type]  # mypy does not narrow an item of a list
            body.append(f'<div class="plots">{"".join(map(_figure, group))}</div>')
        else:
            body.append(_html(block))
    title = escape(document.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        f'<p class="method">method: <strong>{escape(document.method)}</strong></p>\n'
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"
        case Plot():
            return _figure(block)
        case Table(head, rows, text_columns):
            top = "".join(_cell("th", cell, is_text=column < text_columns) for column, cell in enumerate(head))
            lines = ("".join(_cell("td", cell, is_text=column < text_columns) for column, cell in enumerate(row)) for row in rows)
            inside = f"<thead><tr>{top}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody>"
            return f'<div class="scroll"><table>{inside}</table></div>'


def _cell(kind: str, text: str, *, is_text: bool) -> str:
    mark = ' class="text"' if is_text else ""
    return f"<{kind}{mark}>{_inline(text)}</{kind}>"


def _figure(plot: Plot) -> str:
    return f"<figure>{plot.svg}<figcaption>{_inline(plot.caption)}</figcaption></figure>"


def _inline(text: str) -> str:
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text, quote=False)))
