"""YAML with positions: plain data, and for every path in it the line and column where it stands.

A file that a person wrote is read with suspicion all the same: its size, its depth and the number of its nodes *after* aliases
are unfolded are bounded, keys are strings given once, and only plain scalars, lists and mappings exist. Tags name nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard

import yaml

from .errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path as FilePath

MAX_CHARACTERS: Final = 262_144
MAX_DEPTH: Final = 32
MAX_NODES: Final = 10_000

Path: TypeAlias = tuple[str | int, ...]
Position: TypeAlias = tuple[int, int]
"""Line and column, from 1."""

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<has_default>:-(?P<default>[^{}]*))?\})?")
_TYPED: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null"))
_STRING: Final = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, at which path, and where that stands."""

    position: Position
    path: Path
    message: str

    def line(self, source: str) -> str:
        """The problem as people read it: `file:line:column: path: message`."""
        row, column = self.position
        parts = [f"{source}:{row}:{column}", dotted(self.path), self.message]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Document:
    """The data of one file, the problems met on the way, and where everything stands."""

    data: object = None
    problems: list[Problem] = field(default_factory=list)
    _root: yaml.Node | None = None

    @property
    def is_readable(self) -> bool:
        """Whether there is data to look at; an empty file is, a file that is not YAML is not."""
        return self._root is not None or not self.problems

    def value(self, path: Path) -> object:
        """The value at `path`; None where there is none."""
        value = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def position(self, path: Path, *, of_key: bool = False) -> Position:
        """Where the value at `path` stands, or its key; the nearest parent's place for what is not there."""
        node, key = self._root, None
        for part in path:
            key, child = _child(node, part)
            if child is None:
                break
            node = child
        place = key if of_key and key is not None else node
        return _position(place.start_mark) if place is not None else (1, 1)


def dotted(path: Path) -> str:
    """`upstreams.0.name`; a part that would break the line is escaped."""
    return ".".join(part if isinstance(part, str) and part.isprintable() else ascii(part) for part in path)


def read_yaml(text: str, environment: Mapping[str, str] | None = None) -> Document:
    """Read one YAML document; `${NAME}` and `${NAME:-default}` in values come from `environment` where one is given.

    Never raises: syntax errors are the document's problems, and then it has no data.
    """
    if len(text) > MAX_CHARACTERS:
        return Document(problems=[Problem((1, 1), (), f"larger than {MAX_CHARACTERS} characters")])
    try:
        loader = _BoundedLoader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        return Document(problems=[_unreadable(text, error)])
    except yaml.MarkedYAMLError as error:
        return Document(problems=[_syntax_problem(text, error)])
    reader = _Reader(loader, environment)
    data = reader.read(root, ()) if root is not None else None
    if reader.nodes > MAX_NODES:
        return Document(problems=[Problem((1, 1), (), f"more than {MAX_NODES} values, aliases unfolded")])
    return Document(data, reader.problems, root)


def read_text(path: FilePath) -> str:
    """The text of a file that people write; raises ConfigError where it cannot be read, is no UTF-8, or far too large."""
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or 'cannot be read'}"]) from error
    except ValueError as error:
        raise ConfigError([f"{str(path)!a}: not a file name"]) from error
    if len(content) > 4 * MAX_CHARACTERS:
        raise ConfigError([f"{path}: larger than {MAX_CHARACTERS} characters"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = content[: error.start].split(b"\n")
        raise ConfigError([f"{path}:{len(lines)}:{len(lines[-1]) + 1}: not UTF-8"]) from error


class _BoundedLoader(yaml.SafeLoader):
    """The safe loader, which stops at a depth that no recursion suffers from."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Reader:
    """Turns nodes into plain data; what cannot be turned becomes a problem and the text stays."""

    def __init__(self, loader: yaml.SafeLoader, environment: Mapping[str, str] | None) -> None:
        self.problems: list[Problem] = []
        self.nodes = 0
        self._loader = loader
        self._environment = environment

    def read(self, node: yaml.Node, path: Path) -> object:
        """The data of `node`; nothing more once there are too many nodes or, by an alias to its own parent, too deep."""
        self.nodes += 1
        if len(path) > MAX_DEPTH:
            self.nodes = MAX_NODES + 1
        if self.nodes > MAX_NODES:
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "tag:yaml.org,2002:seq")
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, object]:
        self._check_tag(node, path, "tag:yaml.org,2002:map")
        lines: dict[str, int] = {}
        data: dict[str, object] = {}
        for key, value in node.value:
            if not _is_scalar(key):
                self._report(key, path, "a key must be a plain word")
            elif key.value in lines:
                self._report(key, (*path, key.value), f"given twice, first on line {lines[key.value]}")
            else:
                lines[key.value] = _position(key.start_mark)[0]
                data[key.value] = self.read(value, (*path, key.value))
        return data

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        text = str(node.value)
        is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
        tag = self._implied_tag(text) if is_plain else _STRING
        has_own_tag = self._check_tag(node, path, tag)
        if self._environment is not None and "${" in text:
            return self._substituted(node, path, text, self._environment)
        if tag not in _TYPED or has_own_tag:
            return text
        try:
            return self._loader.construct_object(node)
        except ValueError:
            return text  # `0x_` looks like a number and is none

    def _substituted(self, node: yaml.Node, path: Path, text: str, environment: Mapping[str, str]) -> str:
        def value_of(match: re.Match[str]) -> str:
            name = match["name"]
            if match[0] == "$${":
                return "${"
            if name is None:
                self._report(node, path, "a ${ must begin ${NAME} or ${NAME:-default}; write $${ for a plain ${")
                return ""
            if match["has_default"]:
                return environment.get(name) or match["default"]
            if name not in environment:
                self._report(node, path, f"the environment variable {name} is not set")
            return environment.get(name, "")

        return _VARIABLE.sub(value_of, text)

    def _implied_tag(self, text: str) -> str:
        return str(self._loader.resolve(yaml.ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]  # by its stubs

    def _check_tag(self, node: yaml.Node, path: Path, tag: str) -> bool:
        """Whether the author wrote a tag other than the one implied, which is a problem."""
        if node.tag == tag:
            return False
        self._report(node, path, "tags are not supported; put quotes around a value that must stay text")
        return True

    def _report(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(_position(node.start_mark), path, message))


def _is_scalar(node: yaml.Node) -> TypeGuard[yaml.ScalarNode]:
    return isinstance(node, yaml.ScalarNode)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """The key node, where there is one, and the value node at `part` of `node`."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if _is_scalar(key) and key.value == part:
                return key, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _position(mark: yaml.Mark) -> Position:
    return mark.line + 1, mark.column + 1


def _syntax_problem(text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    position = _position(mark) if mark is not None else (1, 1)
    message = ", ".join(str(part) for part in (error.problem, error.context) if part)
    lines = text.splitlines()
    if position[0] <= len(lines) and "${" in lines[position[0] - 1]:
        message += " (within {…} and […] put quotes around ${…})"
    return Problem(position, (), f"not YAML: {message}")


def _unreadable(text: str, error: yaml.reader.ReaderError) -> Problem:
    before = text[: error.position]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return Problem((line, column), (), f"not YAML: {error.reason}")
