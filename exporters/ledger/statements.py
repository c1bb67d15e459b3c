"""The SQL, which lies in files: one text for both databases, with `?` for each value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_MIGRATION: Final = re.compile(r"(\d{4})_\w+\.sql")
_COMMENT: Final = re.compile(r"--[^\n]*")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, and its statements."""

    version: int
    statements: tuple[str, ...]


@cache
def query(name: str) -> str:
    """The statement in `queries/<name>.sql`."""
    return (_HERE / "queries" / f"{name}.sql").read_text(encoding="utf-8")


def migrations() -> tuple[Migration, ...]:
    """Every step, the first first."""
    files = ((_MIGRATION.fullmatch(path.name), path) for path in sorted((_HERE / "migrations").iterdir()))
    return tuple(Migration(int(match[1]), split(path.read_text(encoding="utf-8"))) for match, path in files if match)


def split(script: str) -> tuple[str, ...]:
    """The statements of a script without its comments; none of ours holds a semicolon or two dashes in a text."""
    return tuple(text for part in _COMMENT.sub("", script).split(";") if (text := part.strip()))
