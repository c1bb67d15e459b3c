"""Typed sections of a YAML file: what a section is, and how its errors read to somebody who wrote YAML, not Python."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from .errors import ConfigError
from .marked_yaml import Document, Path, Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")

LABEL_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
LABEL_MESSAGE: Final = "must be 1 to 64 letters, digits or . _ : - and begin with a letter or a digit"

Label: TypeAlias = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
"""The name of an upstream, a rule or a tenant: it goes into headers and metrics as it is."""


MESSAGES: Final[Mapping[str, str]] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "enum": "must be one of {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "missing": "missing key",
    "model_type": "must be a mapping",
    "path_type": "must be a string",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
    "string_type": "must be a string; put it in quotes if it looks like something else",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "missing key",
}
"""What pydantic's kinds of error say to somebody who has never heard of pydantic."""


BETWEEN: Final = "between"
"""The kind of error that checks between sections give: at one place it says more than what a section finds there."""


class Section(BaseModel):
    """A mapping of the file: unknown keys are refused, and errors never show what was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def is_label(text: str) -> bool:
    """Whether `text` is a label."""
    return re.fullmatch(LABEL_PATTERN, text) is not None and not text.endswith("\n")


def hint(word: object, known: Iterable[str]) -> str:
    """`, did you mean name?` where something known is close to `word`, or begins with it, else nothing."""
    text, words = str(word), list(known)
    close = difflib.get_close_matches(text, words, n=1) or [one for one in words if text and one.startswith(text)]
    return f", did you mean {close[0]}?" if close else ""


def validated(document: Document, source: str, kind: type[Section], validate: Callable[[], T]) -> T:
    """What `validate` makes of the document; raises ConfigError with the document's problems and those of the validation.

    `kind` is the outermost section, from whose keys a misspelt one is guessed.
    """
    problems = list(document.problems)
    if document.is_readable:
        try:
            result = validate()
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            for is_between in (True, False):
                group = [one for one in errors if (one["type"] == BETWEEN) is is_between]
                found = list(_problems(group, document, kind))
                places = {(problem.position, problem.path) for problem in problems}
                problems += [problem for problem in found if (problem.position, problem.path) not in places]
        else:
            if not problems:
                return result
    ordered = sorted(problems, key=lambda problem: problem.position)
    raise ConfigError([problem.line(source) for problem in ordered])


def _problems(errors: Iterable[ErrorDetails], document: Document, kind: type[Section]) -> Iterator[Problem]:
    for error in errors:
        path, _ = _resolve(kind, error["loc"])
        if error["type"].startswith("union_tag"):
            path = (*path, "type")
        at_key = error["type"] == "extra_forbidden" or bool(error.get("ctx", {}).get("at_key"))
        yield Problem(document.position(path, of_key=at_key), path, _message(error, path, document, kind))


def _message(error: ErrorDetails, path: Path, document: Document, kind: type[Section]) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            _, parents = _resolve(kind, error["loc"][:-1])
            keys = [key for parent in parents for key in parent.model_fields]
            return "unknown key" + hint(path[-1], keys)
        case "value_error":
            return str(context["error"])
        case "enum" | "literal_error" | "union_tag_invalid":
            message = MESSAGES[error["type"]].format(**context).replace("'", "")
            known = message.removeprefix("must be one of ").replace(" or ", ", ").split(", ")
            return message + hint(document.value(path), known)
        case "string_pattern_mismatch" if context["pattern"] == LABEL_PATTERN:
            return LABEL_MESSAGE
        case name:
            return MESSAGES[name].format(**context) if name in MESSAGES else error["msg"]


def _resolve(kind: type[Section], location: Path) -> tuple[Path, list[type[Section]]]:
    """The path in the file for pydantic's location, which names the type of a policy before its keys; and the sections there."""
    kinds, path = [kind], list[str | int]()
    for part in location:
        tagged = [one for one in kinds if len(kinds) > 1 and part in _tags(one)]
        if tagged:
            kinds = tagged
            continue
        path.append(part)
        if isinstance(part, str):
            fields = [one.model_fields[part] for one in kinds if part in one.model_fields]
            kinds = [section for field in fields for section in _sections_in(field.annotation)]
    return tuple(path), kinds


def _tags(section: type[Section]) -> tuple[object, ...]:
    """The names by which one of several sections is told from the others."""
    if tag := getattr(section, "tag", None):
        return (tag,)
    return get_args(section.model_fields["type"].annotation) if "type" in section.model_fields else ()


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)
