"""A multipart form (RFC 7578) that is sent on with one value replaced, every other byte as it came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..errors import BadRequest

PARTS_LIMIT: Final = 64
HEAD_LIMIT_BYTES: Final = 8 * 1024
VALUE_LIMIT_BYTES: Final = 4 * 1024
"""Of a field that is read here; files are not."""

_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_PARAMETER: Final = rb';[ \t]*([\w*-]+)=(?:"((?:[^"\\\r\n]|\\[^"\r\n])*)"|([^\s;"\\]+))[ \t]*'
_PARAMETERS: Final = re.compile(_PARAMETER)
_FLAGS: Final = re.IGNORECASE | re.MULTILINE
_DISPOSITION: Final = re.compile(rb"^content-disposition:[ \t]*form-data[ \t]*((?:" + _PARAMETER + rb")*)\r$", _FLAGS)


@dataclass(frozen=True, slots=True)
class Field:
    """Where one part of a form lies: `start` at its delimiter line, `value_start:value_end` what it holds."""

    name: str
    start: int
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class FormBody:
    """A form whose `model` can be replaced. Other changes have no place in a form and are not made."""

    content_type: str
    head: bytes = field(repr=False)
    """What precedes the model's name."""
    tail: bytes = field(repr=False)

    def encode(self, model: str, changes: Mapping[str, object]) -> bytes:  # noqa: ARG002 - the protocol's
        """The bytes to send."""
        return self.head + model.encode() + self.tail


def read_form(content_type: str, body: bytes) -> dict[str, Field]:
    """The form's parts by name.

    Raises BadRequest where it is no form, where a part has no plain name, and where a name comes twice: a server might read
    the other one.
    """
    boundary = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or boundary is None:
        raise BadRequest("Expected multipart/form-data with a boundary.", param="content-type")
    delimiter = b"--" + (boundary.group(1) or boundary.group(2)).encode()
    fields: dict[str, Field] = {}
    start = 0
    while not body.startswith(delimiter + b"--", start):
        end = body.find(b"\r\n" + delimiter, start)
        if end < 0 or not body.startswith(delimiter + b"\r\n", start):
            raise BadRequest("The form does not keep to its boundary: it breaks off, or starts with something else.")
        part = _read_part(body, start, end)
        if part.name in fields:
            raise BadRequest(f"The form has two parts named {part.name!r}.", param=part.name)
        fields[part.name] = part
        if len(fields) > PARTS_LIMIT:
            raise BadRequest(f"The form has more than {PARTS_LIMIT} parts.")
        start = end + 2
    return fields


def read_value(body: bytes, fields: Mapping[str, Field], name: str) -> str | None:
    """A short text value; None where there is no such part."""
    part = fields.get(name)
    if part is None:
        return None
    if part.value_end - part.value_start > VALUE_LIMIT_BYTES:
        raise BadRequest(f"`{name}` is longer than {VALUE_LIMIT_BYTES} bytes.", param=name)
    try:
        return body[part.value_start : part.value_end].decode()
    except UnicodeDecodeError:
        raise BadRequest(f"`{name}` is not UTF-8 text.", param=name) from None


def cut_form(content_type: str, body: bytes, fields: Mapping[str, Field], *, without: frozenset[str]) -> FormBody:
    """The form, cut around its `model`, less the parts named in `without`."""
    head: list[bytes] = []
    tail: list[bytes] = []
    kept = head
    at = 0
    for name, part in fields.items():
        if name == "model":
            kept.append(body[at : part.value_start])
            kept = tail
            at = part.value_end
        elif name in without:
            kept.append(body[at : part.start])
            at = part.value_end + 2
    tail.append(body[at:])
    return FormBody(content_type, b"".join(head), b"".join(tail))


def _read_part(body: bytes, start: int, end: int) -> Field:
    line_end = body.find(b"\r\n", start)
    head_end = body.find(b"\r\n\r\n", line_end, min(end, line_end + HEAD_LIMIT_BYTES) + 4)
    if not 0 <= head_end <= end - 4:
        raise BadRequest("A part of the form has no head, or one that is too long.")
    return Field(_read_name(body[line_end + 2 : head_end + 2]), start, head_end + 4, end)


def _read_name(head: bytes) -> str:
    """The part's name, in the one spelling that every reader of forms understands alike."""
    disposition = _DISPOSITION.search(head)
    if disposition is None or head.lower().count(b"content-disposition") != 1:
        raise BadRequest("A part of the form has no plain name.")
    keys: list[bytes] = []
    names: list[bytes] = []
    for parameter in _PARAMETERS.finditer(disposition.group(1)):
        keys.append(parameter.group(1).lower())
        if keys[-1] == b"name":
            names.append(parameter.group(2) or parameter.group(3) or b"")
    if len(names) != 1 or b"name*" in keys:
        raise BadRequest("A part of the form has no plain name.")
    return names[0].decode(errors="replace")
