"""Whether a value conforms to a JSON Schema, as far as that can be told quickly and safely.

The schema and the value are both a client's and a model's: so no reference is followed out of the schema, no pattern is
searched for, and after so many steps nothing more is looked at. What is not looked at is taken to conform: an answer is called
wrong here only where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

MOST_STEPS: Final = 2_000
_DEEPEST: Final = 32
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int, float),
}

Path: TypeAlias = tuple[str, ...]


def first_fault(value: object, schema: object) -> str:
    """Where the first fault is, as `items.0.price`, or `.` for the whole; empty where none was found."""
    return next(_Checker(schema).faults(value, schema, ()), "")


class _Checker:
    """One check, with its steps counted."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MOST_STEPS

    def faults(self, value: object, schema: object, path: Path, depth: int = 0) -> Iterator[str]:
        self._left -= 1
        if schema is False:
            yield _dotted(path)
        if self._left < 0 or depth > _DEEPEST or not isinstance(schema, Mapping):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            target = self._resolve(reference)
            if target is not schema:
                yield from self.faults(value, target, path, depth + 1)
            return
        if not _is_kind(value, schema.get("type")) or not _is_listed(value, schema):
            yield _dotted(path)
        yield from self._combined_faults(value, schema, path, depth + 1)
        if isinstance(value, dict):
            yield from self._object_faults(value, schema, path, depth + 1)
        elif isinstance(value, list):
            for place, item in enumerate(value):
                yield from self.faults(item, schema.get("items"), (*path, str(place)), depth + 1)

    def _combined_faults(self, value: object, schema: Mapping[str, object], path: Path, depth: int) -> Iterator[str]:
        for keyword in ("anyOf", "oneOf"):
            options = _list(schema.get(keyword))
            if options and all(any(self.faults(value, option, path, depth)) for option in options):
                yield _dotted(path)
        for part in _list(schema.get("allOf")):
            yield from self.faults(value, part, path, depth)

    def _object_faults(self, value: dict[str, object], schema: Mapping[str, object], path: Path, depth: int) -> Iterator[str]:
        given = schema.get("properties")
        properties = given if isinstance(given, Mapping) else {}
        required = (name for name in _list(schema.get("required")) if isinstance(name, str))
        yield from (_dotted((*path, name)) for name in required if name not in value)
        others = None if "patternProperties" in schema else schema.get("additionalProperties")
        for name, item in value.items():
            yield from self.faults(item, properties.get(name, others), (*path, name), depth)

    def _resolve(self, reference: str) -> object:
        """The part of the schema that `#/$defs/name` means; nothing for any other reference."""
        if not reference.startswith("#"):
            return None
        found = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if name:
                found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _is_kind(value: object, kind: object) -> bool:
    if isinstance(kind, list):
        return not kind or any(_is_kind(value, one) for one in kind)
    kinds = _KINDS.get(kind) if isinstance(kind, str) else None
    if kinds is None:
        return True
    if isinstance(value, bool):
        return bool in kinds
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, kinds)


def _is_listed(value: object, schema: Mapping[str, object]) -> bool:
    if "const" in schema and value != schema["const"]:
        return False
    listed = schema.get("enum")
    return not isinstance(listed, list) or value in listed


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dotted(path: Path) -> str:
    return ".".join(path) or "."
