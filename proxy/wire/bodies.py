"""The parts of each endpoint's JSON body that a decision needs, typed; what nobody needs here is not even decoded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from ..exchange import Prompt
from .replies import UNREADABLE

BYTES_PER_TOKEN: Final = 4
"""English text in the tokenizers of today's models, roughly; only until the server has counted."""
IMAGE_TOKENS: Final = 765
"""What OpenAI counts for a square of 1024 pixels in full detail; model servers differ by a factor of three either way."""

_NOTHING: Final[frozenset[str]] = frozenset()
_CODE: Final = ("```", "Traceback (most recent call last)", "panicked at ", "\ngoroutine ")
_WINDOW: Final = 64 * 1024
"""So much of a text is searched in one go, for which the event loop may have to wait."""
_OVERLAP: Final = 1024
"""Longer than any line of a stack."""
_STACK_FRAME: Final = re.compile(r"\n[ \t]+at [^\s(]{1,200} ?\(")
_INSTRUCTIONS: Final = frozenset({"system", "developer"})
_IMAGES: Final = frozenset({"image_url", "input_image", "image"})


class Part(Struct, gc=False):
    """One piece of a turn. A tool's result has its own `content`, of whatever shape."""

    type: str = ""
    text: str | None = None
    content: Raw = Raw(b"")


Content: TypeAlias = str | list[Part | str] | None


class Turn(Struct, gc=False):
    """One message, or one item of a Responses input."""

    role: str = ""
    content: Content = None
    output: Raw = Raw(b"")


_Input: TypeAlias = str | list[str | int | list[int] | Part] | None
_CONTENT: Final = msgspec.json.Decoder(str | list[Part | str] | None)


class Format(Struct):
    """`response_format`, or the Responses API's `text.format`."""

    type: str = ""


class Text(Struct):
    """`text` of the Responses API."""

    format: Format | None = None


class Effort(Struct):
    """`reasoning` of the Responses API."""

    effort: str | None = None


class StreamOptions(Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class Asked(Struct, kw_only=True):
    """What any body says."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    best_of: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    reasoning_effort: str | None = None
    previous_response_id: str | None = None
    chat_template_kwargs: dict[str, object] | None = None

    @property
    def prompts(self) -> int:
        """How many separate prompts it holds."""
        return 1

    @property
    def effort(self) -> str | None:
        """How hard the client wants the model to think."""
        return self.reasoning_effort

    def read_prompt(self) -> Prompt:
        """The facts for policies."""
        return Prompt()


class Chat(Asked, kw_only=True):
    """`/v1/chat/completions`, and `/v1/messages` with its token count."""

    messages: list[Turn]
    system: Content = None
    tools: Raw = Raw(b"")
    functions: Raw = Raw(b"")
    response_format: Format | None = None
    guided_json: Raw = Raw(b"")
    json_schema: Raw = Raw(b"")

    def read_prompt(self) -> Prompt:
        """The facts of a conversation."""
        has_schema = self.response_format is not None and self.response_format.type == "json_schema"
        if self.guided_json or self.json_schema:
            has_schema = has_schema or _is_given(self.guided_json) or _is_given(self.json_schema)
        return _describe(
            self.messages if self.system is None else [Turn("system", self.system), *self.messages],
            tools=self.tools if not self.functions or len(self.tools) >= len(self.functions) else self.functions,
            has_schema=has_schema,
        )


class Responses(Asked, kw_only=True):
    """`/v1/responses`."""

    input: str | list[Turn] | None = None
    instructions: str | None = None
    tools: Raw = Raw(b"")
    text: Text | None = None
    reasoning: Effort | None = None

    @property
    def effort(self) -> str | None:
        """`reasoning.effort`."""
        return self.reasoning.effort if self.reasoning else self.reasoning_effort

    def read_prompt(self) -> Prompt:
        """The facts of a conversation."""
        turns = [Turn("user", self.input)] if isinstance(self.input, str) else self.input or []
        has_schema = self.text is not None and self.text.format is not None and self.text.format.type == "json_schema"
        return _describe([Turn("system", self.instructions), *turns], tools=self.tools, has_schema=has_schema)


class Inputs(Asked, kw_only=True):
    """`/v1/completions`, `/v1/embeddings` and `/v1/rerank`: texts without turns, or the tokens of texts."""

    prompt: _Input = None
    input: _Input = None
    query: Raw = Raw(b"")
    documents: Raw = Raw(b"")

    @property
    def prompts(self) -> int:
        """A list of numbers is one prompt, tokenised by the client; any other list has one prompt to an entry."""
        documents = _read_content(self.documents)
        if isinstance(documents, list):
            return max(1, len(documents))
        return self._count_given()

    @property
    def _entries(self) -> Sequence[str | int | list[int] | Part]:
        given = self.prompt if self.prompt is not None else self.input
        return [given] if isinstance(given, str) else given or []

    def _count_given(self) -> int:
        return sum(not isinstance(entry, int) for entry in self._entries) or 1

    def _count_tokens(self) -> int:
        return sum(len(entry) if isinstance(entry, list) else isinstance(entry, int) for entry in self._entries)

    def read_prompt(self) -> Prompt:
        """All texts, newline-joined; a list of tokens counts as so many."""
        entries = self._entries
        texts = [entry for entry in entries if isinstance(entry, str)]
        texts += [entry.text for entry in entries if isinstance(entry, Part) and entry.text]
        texts += [text for raw in (self.query, self.documents) if (text := _read_text(_read_content(raw)))]
        text = "\n".join(texts)
        has = frozenset({"code"} if _has_code(text) else ())
        return Prompt(text, text, tokens=self._count_tokens() + estimate_tokens(text), has=has)


class Ids(Inputs, kw_only=True):
    """The same where they are token ids and nothing else, which are counted and not decoded. Made by `count_ids`."""

    sequences: int
    tokens: int

    def _count_given(self) -> int:
        return self.sequences

    def _count_tokens(self) -> int:
        return self.tokens


def count_ids(raw: Raw) -> tuple[int, int] | None:
    """How many prompts and how many tokens a list of ids is, or a list of such lists; None where it is anything else.

    `raw` is known to be JSON. What is left of it without digits is brackets and commas, and these tell all.
    """
    ids = bytes(raw).translate(None, b" \t\r\n")
    shape = ids.translate(None, b"-0123456789")
    if not shape.startswith(b"[") or shape.translate(None, b"[],"):
        return None
    lists = shape.count(b"[") - 1
    commas = len(shape) - 2 * (lists + 1)  # to count what is many takes long
    if lists == 0:
        return 1, 0 if ids == b"[]" else commas + 1
    is_list_of_lists = shape.startswith(b"[[") and shape.endswith(b"]]") and shape.count(b"[[") == 1
    if not is_list_of_lists or shape.count(b"],[") != lists - 1:
        return None
    return lists, commas + 1 - ids.count(b"[]")


def estimate_tokens(text: str, *, extra_bytes: int = 0, images: int = 0) -> int:
    """UTF-8 bytes / 4, rounded up, and a constant for each image."""
    size = extra_bytes + (len(text) if text.isascii() else len(text.encode()))
    return -(-size // BYTES_PER_TOKEN) + images * IMAGE_TOKENS


def _describe(turns: Sequence[Turn], *, tools: Raw, has_schema: bool) -> Prompt:
    texts: list[str] = []
    last = system = ""
    asked = images = 0
    has_code = False
    for turn in turns:
        role, content = turn.role, turn.content
        if role == "assistant":
            asked = len(texts)
        if isinstance(content, str) and not turn.output:  # nearly every turn
            text = content
        else:
            text = _read_turn(turn)
            images += _count_images(content)
        if text:
            if role == "user":
                last = text
                has_code = has_code or _has_code(text)
            elif not texts and role in _INSTRUCTIONS:
                system = text
            texts.append(text)
    conversation = "\n".join(texts)
    has_tools = bool(tools) and _is_given(tools)
    has = _NOTHING
    if has_code or has_tools or images or has_schema:
        flags = {"code": has_code, "tools": has_tools, "images": images > 0, "json_schema": has_schema}
        has = frozenset([name for name, is_there in flags.items() if is_there])
    return Prompt(
        text=last,
        conversation=conversation,
        answered=asked and sum(map(len, texts[:asked])) + asked - 1,
        system=system,
        tokens=estimate_tokens(conversation, extra_bytes=len(tools) if has_tools else 0, images=images),
        has=has,
    )


def _read_turn(turn: Turn) -> str:
    return "\n".join(text for text in (_read_text(turn.content), _read_text(_read_content(turn.output))) if text)


def _read_text(content: Content) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(text for part in content if (text := _read_part(part)))


def _read_part(part: Part | str) -> str:
    if isinstance(part, str):
        return part
    return part.text or _read_text(_read_content(part.content))


def _read_content(raw: Raw) -> Content:
    """Text that may or may not be there, in a place where other things may be instead."""
    if not raw:
        return None
    try:
        content: Content = _CONTENT.decode(raw)
    except UNREADABLE:
        return None
    return content


def _count_images(content: Content) -> int:
    if not isinstance(content, list):
        return 0
    return sum((part.type in _IMAGES) + _count_images(_read_content(part.content)) for part in content if isinstance(part, Part))


def _has_code(text: str) -> bool:
    """A code fence, or the trace of an error."""
    for mark in _CODE:
        if mark in text:
            return True
    if "\n" not in text:
        return False
    if len(text) <= _WINDOW:
        return _STACK_FRAME.search(text) is not None
    return any(_STACK_FRAME.search(text, begin, begin + _WINDOW + _OVERLAP) for begin in range(0, len(text), _WINDOW))


def _is_given(raw: Raw) -> bool:
    """Whether an optional value is more than nothing."""
    return len(raw) > 0 and bytes(raw) not in {b"null", b"[]", b"{}", b"false"}
