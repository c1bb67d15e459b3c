"""From a YAML file to a `Config`, or to every problem in it at once, each as `file:line:column: path: message`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config import Config
from .marked_yaml import read_text, read_yaml
from .sections import validated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def load_config(path: Path, environment: Mapping[str, str]) -> Config:
    """The configuration in the file `path`; other files it names are sought beside it. Raises ConfigError."""
    return parse_config(read_text(path), source=str(path), folder=path.parent, environment=environment)


def parse_config(
    text: str, *, source: str = "config.yaml", folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Config:
    """The configuration in `text`; `${NAME}` in its values comes from `environment`. Raises ConfigError."""
    document = read_yaml(text, environment or {})
    data = {} if document.data is None else document.data
    return validated(document, source, Config, lambda: Config.model_validate(data, context={"folder": folder}))
