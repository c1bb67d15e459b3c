"""A report as a list of blocks, written once and rendered twice: as Markdown and as HTML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Heading:
    """A section begins."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Prose."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A head and rows; the first column is text, the others are figures."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: `svg` with no style of its own, `name` for the file, `caption` below it."""

    name: str
    svg: str
    caption: str


Block: TypeAlias = Heading | Paragraph | Bullets | Table | Plot


@dataclass(frozen=True, slots=True)
class Document:
    """All of it. `method` stands in the header."""

    title: str
    method: str
    blocks: Sequence[Block]

    @property
    def plots(self) -> list[Plot]:
        """The pictures."""
        return [block for block in self.blocks if isinstance(block, Plot)]


def front(document: Document) -> str:
    """The line under the title: where every joule of the page comes from."""
    return f"method: {document.method}"


def as_markdown(document: Document, *, plots: str = "plots") -> str:
    """The page; pictures are expected as files in the folder `plots`."""
    parts = [f"# {document.title}", f"**{front(document)}**", *(_markdown(block, plots) for block in document.blocks)]
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block, plots: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Plot(name, _, caption):
            return f"![{caption}]({plots}/{name}.svg)\n\n*{caption}*"
        case Table(head, rows, text_columns):
            ruler = ["---" if column < text_columns else "---:" for column in range(len(head))]
            return "\n".join(map(_markdown_row, [head, ruler, *rows]))


def _markdown_row(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"
