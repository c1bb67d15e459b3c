r"""A regular expression that an operator wrote, searched for in text that a client wrote.

Python's own engine backtracks: `\s+$` over 20,000 blanks and a letter holds the event loop for more than a second, and
`(a+)+$` practically for ever. The engine within pydantic-core (Rust's `regex`) takes time linear in the text whatever the
pattern, for which it gives up look-around and back-references; such a pattern is refused when the configuration is read.
"""

from __future__ import annotations

from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_CHARACTERS: Final = 500


class Pattern:
    r"""One compiled expression. Its syntax is Rust's `regex`: `(?i)` ignores case, `\b` is a word boundary."""

    __slots__ = ("_validator", "source")

    def __init__(self, source: str) -> None:
        """Compile `source`; raises ValueError with what is wrong with it."""
        if not source or len(source) > MAX_CHARACTERS:
            raise ValueError(f"must be a regular expression of 1 to {MAX_CHARACTERS} characters")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=source))
        except SchemaError as error:
            reason = str(error).strip().rsplit("\n", 1)[-1].strip().removeprefix("error: ").removeprefix("SchemaError: ")
            raise ValueError(f"not a usable regular expression: {reason}") from error
        self.source = source

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in `text`; a lone surrogate is read as `?`."""
        return self._validator.isinstance_python(text.encode("utf-8", "replace").decode())
