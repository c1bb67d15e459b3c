"""A JSON Schema of the Classic dashboard, made of the typed models of Grafana's own SDK, version for version what is installed.

Grafana publishes the schema beside the SDK and in no package; both are generated from the same definitions, so that one made of
the classes says the same: which keys there are, which of them must be there, and of what type each is. Where the class says
`object`, since it depends on the panel's type, the panel's own classes are put in.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import bargauge, dashboard, heatmap, prometheus, stat, timeseries

PANELS = {"timeseries": timeseries, "stat": stat, "bargauge": bargauge, "heatmap": heatmap}
"""The kinds that jevons draws; another is refused."""
SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}


class _Definitions:
    """Of all classes met so far. `panel`: the module of the panel that they belong to."""

    def __init__(self, found: dict[str, Any], panel: types.ModuleType | None = None) -> None:
        self.found = found
        self._panel = panel

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of an annotation."""
        if typing.get_origin(kind) is not None:
            return self._composed(typing.get_origin(kind), typing.get_args(kind))
        if kind is object:
            return {}
        if kind in SCALARS:
            return {"type": SCALARS[kind]}
        if issubclass(kind, Enum):
            return {"enum": [each.value for each in kind]}
        return self._panels() if kind is dashboard.Panel and self._panel is None else self._class(kind)

    def _composed(self, origin: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        if origin is typing.Literal:
            return {"enum": list(arguments)}
        options = [self.of(each) for each in arguments if each is not type(None)]  # absent, and never null
        return options[0] if len(options) == 1 else {"anyOf": options}

    def _panels(self) -> dict[str, Any]:
        kinds = [_Definitions(self.found, module)._class(dashboard.Panel) for module in PANELS.values()]
        cases = [{"if": {"properties": {"type": {"const": name}}}, "then": ref} for name, ref in zip(PANELS, kinds, strict=True)]
        return {"type": "object", "properties": {"type": {"enum": list(PANELS)}}, "required": ["type"], "allOf": cases}

    def _class(self, kind: type) -> dict[str, Any]:
        kind = prometheus.Dataquery if kind is Dataquery else kind
        name = ".".join(filter(None, (self._panel and self._panel.__name__, kind.__module__, kind.__name__)))
        if name not in self.found:
            self.found[name] = {}  # it may hold itself
            keys, required = keys_of(kind)
            properties = {key: self._property(kind, attribute, hint) for key, (attribute, hint) in keys.items()}
            self.found[name] = {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}

    def _property(self, kind: type, attribute: str, hint: Any) -> dict[str, Any]:
        if (kind, attribute) == (dashboard.Panel, "options"):
            return self._class(self._panel.Options)
        if (kind, attribute) == (dashboard.FieldConfig, "custom"):
            return self._class(self._panel.FieldConfig) if hasattr(self._panel, "FieldConfig") else {"maxProperties": 0}
        return self.of(hint)


def keys_of(kind: type) -> tuple[dict[str, tuple[str, Any]], list[str]]:
    """By key in JSON, the attribute and its annotation; and the keys that are always written."""
    hints = typing.get_type_hints(kind)
    marks = {attribute: object() for attribute in hints}
    whole, empty = kind.__new__(kind), kind.__new__(kind)
    vars(whole).update(marks)
    vars(empty).update(dict.fromkeys(hints))
    names = {id(mark): attribute for attribute, mark in marks.items()}
    keys = {key: (names[id(mark)], hints[names[id(mark)]]) for key, mark in whole.to_json().items()}
    return keys, list(empty.to_json())


def dashboard_schema() -> dict[str, Any]:
    """The schema, with a definition for each class."""
    found: dict[str, Any] = {}
    root = _Definitions(found).of(dashboard.Dashboard)
    places = found[root["$ref"].rpartition("/")[2]]["properties"]["panels"]
    panel, row = places["items"]["anyOf"]
    is_row = {"properties": {"type": {"const": "row"}}, "required": ["type"]}
    places["items"] = {"if": is_row, "then": row, "else": panel}  # what is wrong is then said of the one, and not of both
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": found}
