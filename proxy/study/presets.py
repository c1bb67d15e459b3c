"""Studies that are ready but for the addresses of the servers."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from ..errors import JevonsError
from .study_file import Study, parse_study

_FOLDER: Final = "ready"
_SUFFIX: Final = ".yaml"


def preset_names() -> list[str]:
    """All of them."""
    found = (entry.name for entry in (files(__package__) / _FOLDER).iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


def preset_text(name: str) -> str:
    """The study as a file to begin from; raises JevonsError where there is no such preset."""
    if name not in preset_names():
        raise JevonsError(f"no preset {name!r}: there are {', '.join(preset_names())}")
    return (files(__package__) / _FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """Its first line, a comment that says what it is."""
    return preset_text(name).partition("\n")[0].removeprefix("#").strip()


def load_preset(name: str) -> Study:
    """The study itself. Raises ConfigError where a variable that it needs is not set."""
    return parse_study(preset_text(name), source=f"preset {name}")
