"""JSON replies without I/O: what a model server says it used, the energy added to it, its errors in one shape.

Only the top level and `usage` are taken apart; every other value stays the bytes that arrived.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ..exchange import Endpoint, Usage

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding bytes that somebody else wrote may raise."""

ERROR_CHARACTERS: Final = 1000
"""How much of a server's own words an error keeps."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TAGS: Final = re.compile(r"<(?:script|style|title)\b[^<]*|<[^<>]*>", re.IGNORECASE)


class _Details(Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Counts(Struct):
    """Every name under which servers report token counts."""

    prompt_tokens: int | None = None
    input_tokens: int | None = None
    completion_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Timings(Struct):
    """What llama.cpp measures of its own work."""

    prompt_n: int | None = None
    predicted_n: int | None = None
    cache_n: int | None = None


class _Holder(Struct):
    usage: Raw = Raw(b"")


class _Counted(Struct):
    """A reply in the usual shape; one in any other is read piece by piece."""

    usage: _Counts | None = None


_NO_DETAILS: Final = _Details()
_COUNTED: Final = msgspec.json.Decoder(_Counted)
_HOLDER: Final = msgspec.json.Decoder(_Holder)
_USAGE_KEY: Final = b'"usage":'
_BACKSLASH: Final = ord("\\")
_COUNTS: Final = msgspec.json.Decoder(_Counts)
_TIMINGS: Final = msgspec.json.Decoder(_Timings)


class _Text(Struct):
    """One piece of text, under any of its names; what is no text has none."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    arguments: str | None = None
    content: list[_Text] | None = None
    summary: list[_Text] | None = None
    input: Raw = Raw(b"")

    def measure(self) -> int:
        """The characters of its own text."""
        return len(self.text or self.thinking or self.arguments or "") + len(self.input)


class _Message(Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: Raw = Raw(b"")


class _Choice(Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    text: str | None = None


class _Reply(Struct):
    """The parts of a reply that hold text: chat and completions, messages, responses."""

    choices: list[_Choice] = []
    content: list[_Text] = []
    output: list[_Text] = []


class _Problem(Struct):
    """One entry of FastAPI's `detail`."""

    msg: str
    loc: list[str | int] = []

    @property
    def path(self) -> str:
        """`messages.0.role`."""
        return ".".join(str(step) for step in self.loc[self.loc[:1] == ["body"] :])


_REPLY: Final = msgspec.json.Decoder(_Reply)


def decode_object(body: bytes | Raw) -> dict[str, Raw]:
    """A JSON object's values, each as its own bytes; raises one of `UNREADABLE`."""
    return _OBJECT.decode(body)


def is_object(raw: Raw | None) -> bool:
    """Whether a value is there and is a JSON object."""
    return raw is not None and memoryview(raw)[:1].tobytes() == b"{"


def read_string(fields: Mapping[str, Raw], name: str) -> str | None:
    """A string value; None where it is missing or something else."""
    try:
        return msgspec.json.decode(fields[name], type=str)
    except (KeyError, *UNREADABLE):
        return None


def read_message(fields: Mapping[str, Raw]) -> str | None:
    """A server's words in an error, whichever of the known shapes it has."""
    for name in ("error", "message", "detail"):
        if text := read_string(fields, name):
            return text
        try:
            return read_message(decode_object(fields[name]))
        except (KeyError, *UNREADABLE):
            continue
    return None


def read_usage(endpoint: Endpoint, body: bytes) -> Usage:
    """What the reply says was used; all None where it says nothing.

    A server that counts `completion` but no reasoning has its reasoning estimated by its share of the text.
    """
    try:
        counts = _COUNTED.decode(body).usage
        usage = Usage() if counts is None else _sum_up(endpoint, counts)
        if not (usage.prompt or usage.completion):
            usage = count_tokens(endpoint, decode_object(body))
    except UNREADABLE:
        try:
            usage = count_tokens(endpoint, decode_object(body))
        except UNREADABLE:
            return Usage()
    if usage.reasoning or not usage.completion or not endpoint.generates or not (b"reasoning" in body or b"think" in body):
        return usage
    try:
        reply = _REPLY.decode(body)
    except UNREADABLE:
        return usage
    return with_reasoning_share(usage, *_measure_text(reply))


def with_energy(endpoint: Endpoint, body: bytes, energy: Mapping[str, object]) -> bytes:
    """The reply with `usage.energy` added; as it came where it has no `usage` or is no JSON object."""
    if not endpoint.is_metered:
        return body
    spliced = _splice_energy(body, energy)
    return add_energy(body, ("usage",), energy) if spliced is None else spliced


def _splice_energy(body: bytes, energy: Mapping[str, object]) -> bytes | None:
    """The reply with the energy put at the end of its `usage`, every other byte in its place; None where that is not plain.

    A quotation mark without a backslash before it is none within a text: so `"usage":` is a key. Where it stands only once, and
    what follows it is the `usage` that the decoder finds at the top level, it is that key and no other.
    """
    at = body.find(_USAGE_KEY)
    if at <= 0 or body[at - 1] == _BACKSLASH or body.find(_USAGE_KEY, at + 1) >= 0:
        return None
    try:
        usage = bytes(_HOLDER.decode(body).usage)
    except UNREADABLE:
        return None
    begin = body.find(b"{", at)
    end = begin + len(usage) - 1
    if not usage.endswith(b"}") or b'"energy"' in usage or b":" not in usage or not body.startswith(usage, begin):
        return None
    return b"".join((body[:end], b',"energy":', msgspec.json.encode(energy), body[end:]))


def add_energy(body: bytes, path: Sequence[str], energy: Mapping[str, object]) -> bytes:
    """`body` with `energy` added to the object at `path`; as it came where there is no such object."""
    try:
        fields: dict[str, object] = {**decode_object(body)}
        inner = fields[path[0]]
        before = bytes(inner) if isinstance(inner, Raw) else b""
        if len(path) > 1:
            after = add_energy(before, path[1:], energy)
        else:
            after = msgspec.json.encode({**decode_object(before), "energy": energy})
    except (KeyError, *UNREADABLE):
        return body
    return msgspec.json.encode({**fields, path[0]: Raw(after)}) if after != before else body


def response_id(endpoint: Endpoint, body: bytes) -> str | None:
    """The id by which a later request may go on from this reply; None where the endpoint keeps no state."""
    if endpoint is not Endpoint.RESPONSES:
        return None
    try:
        return read_string(decode_object(body), "id")
    except UNREADABLE:
        return None


def normalise_error(status: int, body: bytes) -> bytes:
    """A server's error reply in OpenAI's shape, `{"error": {message, type, param, code}}`; verbatim where it has it already.

    Knows SGLang's flat object, FastAPI's `detail`, Ollama's string, and plain or HTML text from whatever stands in between.
    """
    try:
        fields = decode_object(body)
    except UNREADABLE:
        fields = {}
    if is_object(fields.get("error")):
        return body
    message, param = _explain(fields)
    error = {
        "message": _shorten(message or _read_text(body)) or f"The model server answered {status} without a word.",
        "type": read_string(fields, "type") or _name_type(status),
        "param": read_string(fields, "param") or param,
        "code": fields.get("code"),
    }
    return msgspec.json.encode({"error": error})


def count_tokens(endpoint: Endpoint, fields: Mapping[str, Raw]) -> Usage:
    """The token counts of an object that has `usage` (or llama.cpp's `timings`); all None where they are zero or absent."""
    for name, read in (("usage", _read_counts), ("timings", _read_timings)):
        try:
            usage = read(endpoint, fields[name])
        except (KeyError, *UNREADABLE):
            continue
        if usage.prompt or usage.completion:
            return usage
    return Usage()


def with_reasoning_share(usage: Usage, reasoning: int, answer: int) -> Usage:
    """`usage` with its reasoning estimated from the amounts of reasoning and of answer that were seen, in whatever unit.

    A server's own count stands, but a zero that the text contradicts; where no reasoning was seen nothing is claimed.
    """
    if usage.reasoning or usage.completion is None or not reasoning:
        return usage
    share = reasoning / (reasoning + answer)
    return replace(usage, reasoning=round(usage.completion * share), is_reasoning_estimated=True)


def _read_counts(endpoint: Endpoint, raw: Raw) -> Usage:
    return _sum_up(endpoint, _COUNTS.decode(raw))


def _sum_up(endpoint: Endpoint, counts: _Counts) -> Usage:
    prompt = counts.input_tokens if counts.prompt_tokens is None else counts.prompt_tokens
    if endpoint is Endpoint.MESSAGES:  # Anthropic counts what came from or went into the cache beside the input
        prompt = _total(prompt, counts.cache_read_input_tokens, counts.cache_creation_input_tokens)
    if not endpoint.generates:
        prompt = _first(prompt, counts.total_tokens)
    read = counts.prompt_tokens_details or counts.input_tokens_details or _NO_DETAILS
    written = counts.completion_tokens_details or counts.output_tokens_details or _NO_DETAILS
    return Usage(
        prompt=prompt,
        cached=_first(read.cached_tokens, counts.cache_read_input_tokens, counts.prompt_cache_hit_tokens),
        reasoning=counts.reasoning_tokens if written.reasoning_tokens is None else written.reasoning_tokens,
        completion=counts.output_tokens if counts.completion_tokens is None else counts.completion_tokens,
    )


def _read_timings(_: Endpoint, raw: Raw) -> Usage:
    timings = _TIMINGS.decode(raw)
    return Usage(_total(timings.prompt_n, timings.cache_n), timings.cache_n, None, timings.predicted_n)


def _measure_text(reply: _Reply) -> tuple[int, int]:
    """The characters of reasoning and of answer."""
    reasoning = answer = 0
    for choice in reply.choices:
        message = choice.message
        thought, said = _split_thought(message.content or choice.text or "")
        reasoning += thought + len((message.reasoning or message.reasoning_content or "").strip())
        answer += said + (len(message.tool_calls) if len(message.tool_calls) > len(b"null") else 0)
    for item in (*reply.content, *reply.output):
        amount = sum(piece.measure() for piece in (item, *(item.content or ())))
        if item.type in {"thinking", "reasoning"}:
            reasoning += amount or sum(piece.measure() for piece in item.summary or ())
        else:
            answer += amount
    return reasoning, answer


def _split_thought(text: str) -> tuple[int, int]:
    """The characters up to `</think>` and behind it; the opening tag may be in the prompt's template instead."""
    thought, tag, said = text.partition("</think>")
    if not tag and not text.lstrip().startswith("<think>"):
        thought, said = "", text
    has_thought = thought.strip().removeprefix("<think>").strip() != ""
    return (len(thought), len(said)) if has_thought else (0, len(text))


def _first(*values: int | None) -> int | None:
    for value in values:
        if value is not None:
            return value
    return None


def _total(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _explain(fields: Mapping[str, Raw]) -> tuple[str | None, str | None]:
    """The message, and the parameter that FastAPI blames."""
    try:
        problems = msgspec.json.decode(fields["detail"], type=list[_Problem])
    except (KeyError, *UNREADABLE):
        problems = []
    if problems:
        return "; ".join(f"{problem.path}: {problem.msg}".removeprefix(": ") for problem in problems), problems[0].path or None
    return read_message(fields), None


def _read_text(body: bytes) -> str:
    text = body[: 16 * ERROR_CHARACTERS].decode(errors="replace")
    return _TAGS.sub(" ", text) if text.lstrip().startswith("<") else text


def _shorten(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= ERROR_CHARACTERS else words[: ERROR_CHARACTERS - 1] + "…"


def _name_type(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    return "upstream_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
