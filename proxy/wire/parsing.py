"""What a client asks, read no further than a decision needs; what it sent stays the bytes that it sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate, repeat
from operator import sub
from typing import ClassVar, Final

import msgspec
from msgspec import Raw, Struct

from ..errors import BadRequest
from ..exchange import Body, Endpoint, Request, Tier
from ..identity import ANYBODY, Identity
from .bodies import Asked, Chat, Ids, Inputs, Responses, Turn, count_ids
from .forms import cut_form, read_form, read_value
from .replies import UNREADABLE, decode_object

DEPTH_LIMIT: Final = 100
SEQUENCES_LIMIT: Final = 128
"""Of `n` and of `best_of`."""
MODEL_LIMIT_CHARACTERS: Final = 256
SESSION_LIMIT_CHARACTERS: Final = 200
REQUEST_ID_LIMIT_CHARACTERS: Final = 128

PASSED_HEADERS: Final = frozenset(
    {"accept", "anthropic-version", "anthropic-beta", "openai-beta", "traceparent", "tracestate", "user-agent"}
)
"""What of a client's headers may reach an upstream."""
_WORD_HEADERS: Final = frozenset({"x-jevons-tier", "x-jevons-session", "x-jevons-energy", "x-request-id"})
"""What a client may say to us beside the body."""
REFUSED_FIELDS: Final = frozenset(
    {"api_base", "base_url", "api_key", "extra_headers", "extra_query", "extra_body", "kv_transfer_params"}
    | {"bootstrap_host", "bootstrap_port", "bootstrap_room", "data_parallel_rank"}
)
"""What would steer a server elsewhere, or into another's memory, and is taken out: LiteLLM's, vLLM's and SGLang's names."""

_ASKED: Final[Mapping[Endpoint, msgspec.json.Decoder[Asked]]] = {
    Endpoint.CHAT: msgspec.json.Decoder[Asked](Chat),
    Endpoint.MESSAGES: msgspec.json.Decoder[Asked](Chat),
    Endpoint.COUNT_TOKENS: msgspec.json.Decoder[Asked](Chat),
    Endpoint.RESPONSES: msgspec.json.Decoder[Asked](Responses),
    Endpoint.COMPLETIONS: msgspec.json.Decoder[Asked](Inputs),
    Endpoint.EMBEDDINGS: msgspec.json.Decoder[Asked](Inputs),
    Endpoint.RERANK: msgspec.json.Decoder[Asked](Inputs),
}
_OF_IDS: Final = frozenset({Endpoint.COMPLETIONS, Endpoint.EMBEDDINGS})
_INPUTS: Final = msgspec.json.Decoder(Inputs)
_OF_TURNS: Final = frozenset({Endpoint.CHAT, Endpoint.MESSAGES, Endpoint.COUNT_TOKENS})
_CHAT: Final = msgspec.json.Decoder(Chat)
_TURN: Final = msgspec.json.Decoder(Turn)
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_RAWS: Final = msgspec.json.Decoder(list[Raw])
_LONG_BYTES: Final = 64 * 1024
"""From here on what can be long is taken apart: its decoding would be one step that nothing interrupts."""
_STRIDE: Final = 16 * 1024
_NEITHER_BRACKET_NOR_QUOTE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


class _Word(Struct, frozen=True, gc=False):
    """What a client says in headers of ours."""

    request_id: str | None = None
    tier: Tier | None = None
    session: str | None = None
    waits_for_energy: bool = False


_NO_WORD: Final = _Word()


class JsonBody(Struct, frozen=True, gc=False):
    """A JSON object, every top-level value as the bytes that came."""

    fields: Mapping[str, Raw]
    content_type: ClassVar[str] = "application/json"

    def __repr__(self) -> str:
        """Without what a client wrote."""
        return "JsonBody()"

    def encode(self, model: str, changes: Mapping[str, object]) -> bytes:
        """The bytes to send: `model` replaced, `changes` laid over the top level, every other value untouched."""
        return msgspec.json.encode({**self.fields, **changes, "model": model})


def parse(
    endpoint: Endpoint,
    content_type: str,
    body: bytes,
    *,
    request_id: str,
    headers: Mapping[str, str],
    started_at: float,
    identity: Identity = ANYBODY,
) -> Request:
    """Read one request; raises BadRequest, which names the field or the header that is wrong.

    `headers` have their names in lower case; `started_at` is Unix time.
    """
    is_form = endpoint is Endpoint.TRANSCRIPTIONS
    asked, sent = _read_form(content_type, body) if is_form else _read_json(endpoint, body)
    if not 0 < len(asked.model) <= MODEL_LIMIT_CHARACTERS:
        raise BadRequest(f"`model` must have 1 to {MODEL_LIMIT_CHARACTERS} characters.", param="model")
    sequences = asked.prompts if asked.n is None and asked.best_of is None else _count_sequences(asked)
    word = _NO_WORD if _WORD_HEADERS.isdisjoint(headers) else _read_word(headers)
    return Request(
        id=request_id,
        endpoint=endpoint,
        body=sent,
        model=asked.model,
        started_at=started_at,
        tenant=identity.tenant,
        key=identity.key,
        ceiling=identity.ceiling,
        is_local_only=identity.is_local_only,
        models=identity.models,
        client_request_id=word.request_id,
        stream=bool(asked.stream) and endpoint.generates,
        wants_usage=asked.stream_options is not None and asked.stream_options.include_usage is True,
        sequences=sequences,
        max_tokens=_read_max_tokens(asked),
        prompt=asked.read_prompt(),
        tier=word.tier,
        reasoning_effort=asked.effort,
        session=word.session,
        previous_response_id=asked.previous_response_id,
        template_kwargs=asked.chat_template_kwargs or {},
        waits_for_energy=word.waits_for_energy,
        headers={
            name: value for name, value in headers.items() if name in PASSED_HEADERS and value.isascii() and value.isprintable()
        },
    )


def usage_injection(request: Request) -> dict[str, object]:
    """The change to the body that makes a stream end with its usage; none where the client asked, or nothing is streamed."""
    if request.endpoint not in {Endpoint.CHAT, Endpoint.COMPLETIONS} or not request.stream or request.wants_usage:
        return {}
    try:
        own = decode_object(request.body.fields["stream_options"]) if isinstance(request.body, JsonBody) else {}
    except (KeyError, *UNREADABLE):
        own = {}
    return {"stream_options": {**own, "include_usage": True}}


def _read_json(endpoint: Endpoint, body: bytes) -> tuple[Asked, Body]:
    if not body:
        raise BadRequest("The body is empty: expected a JSON object.")
    if is_too_deep(body):
        raise BadRequest(f"The body is nested deeper than {DEPTH_LIMIT} levels.")
    try:
        fields = _OBJECT.decode(body)
        asked = (_read_long(endpoint, fields) if len(body) > _LONG_BYTES else None) or _ASKED[endpoint].decode(body)
    except msgspec.ValidationError as error:
        raise _name_field(str(error)) from None
    except UNREADABLE as error:
        raise BadRequest(f"The body is not valid JSON: {_explain(error, body)}.") from None
    if not REFUSED_FIELDS.isdisjoint(fields):
        fields = {name: value for name, value in fields.items() if name not in REFUSED_FIELDS}
    return asked, JsonBody(fields)


def _read_long(endpoint: Endpoint, fields: Mapping[str, Raw]) -> Asked | None:
    """What a long body asks, in steps that are short; None where it has to be decoded in one, be it to say what is wrong.

    Another thread, the event loop's, gets its turn between two calls of the decoder and not within one.
    """
    if endpoint in _OF_TURNS and "messages" in fields:
        try:
            turns = [_TURN.decode(turn) for turn in _RAWS.decode(fields["messages"])]
        except UNREADABLE:
            return None
        chat = _CHAT.decode(msgspec.json.encode({**fields, "messages": []}))
        chat.messages = turns
        return chat
    return _count(fields) if endpoint in _OF_IDS else None


def _count(fields: Mapping[str, Raw]) -> Ids | None:
    """What a long body asks whose input is token ids, without a number made of each; None where it is anything else."""
    name = "prompt" if bytes(fields.get("prompt", b"null")) != b"null" else "input"
    counts = count_ids(fields[name]) if name in fields else None
    if counts is None:
        return None
    beside = _INPUTS.decode(msgspec.json.encode({**fields, name: []}))
    return Ids(**msgspec.structs.asdict(beside), sequences=counts[0], tokens=counts[1])


def _read_form(content_type: str, body: bytes) -> tuple[Asked, Body]:
    fields = read_form(content_type, body)
    model = read_value(body, fields, "model")
    if model is None:
        raise BadRequest("`model` is missing.", param="model")
    stream = (read_value(body, fields, "stream") or "false").strip().lower()
    if stream not in {"true", "false", "1", "0"}:
        raise BadRequest("`stream` must be true or false.", param="stream")
    return Asked(model=model, stream=stream in {"true", "1"}), cut_form(content_type, body, fields, without=REFUSED_FIELDS)


def is_too_deep(body: bytes) -> bool:
    """Whether JSON nests deeper than `DEPTH_LIMIT`, without decoding it; it is not even looked at where brackets are few.

    Each step is one quick pass over the bytes, so that another thread, the event loop's, gets its turn between them.
    """
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT:
        return False
    if b"\\" in body:  # pairs first: a quotation mark behind two backslashes ends its text
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts_and_others = body.translate(_SQUARE, _NEITHER_BRACKET_NOR_QUOTE).split(b'"')
    brackets = b"".join(texts_and_others[::2])
    level = 0
    for start in range(0, len(brackets), _STRIDE):
        # "[" is 91 and "]" is 93: minus 92 they are the steps down and up.
        levels = list(accumulate(map(sub, brackets[start : start + _STRIDE], repeat(92)), initial=level))
        if min(levels) < -DEPTH_LIMIT:
            return True
        level = levels[-1]
    return False


def _explain(error: Exception, body: bytes) -> str:
    """Why JSON could not be decoded, with the place where the decoder tells it."""
    reason = str(error).removeprefix("JSON is malformed: ")
    if isinstance(error, UnicodeDecodeError):
        return "a string is not UTF-8"
    if "truncated" not in reason:
        return reason
    return "a string has half a surrogate pair" if _SURROGATE.search(body) else f"it breaks off at byte {len(body)}"


def _name_field(reason: str) -> BadRequest:
    """A validation error that names its field as the client knows it: `messages[0].content`."""
    path = _PATH.search(reason)
    names = [path.group(1)] if path else []
    if missing := _MISSING.search(reason):
        names.append(missing.group(1))
    param = ".".join(name for name in names if name)
    if not param:
        return BadRequest(f"The body must be a JSON object: {reason[:1].lower()}{reason[1:]}.")
    if missing:
        return BadRequest(f"`{param}` is missing.", param=param)
    what = _PATH.sub("", reason)
    return BadRequest(f"`{param}`: {what[:1].lower()}{what[1:]}.", param=param)


def _count_sequences(asked: Asked) -> int:
    for name, value in (("n", asked.n), ("best_of", asked.best_of)):
        if value is not None and not 1 <= value <= SEQUENCES_LIMIT:
            raise BadRequest(f"`{name}` must lie between 1 and {SEQUENCES_LIMIT}.", param=name)
    return asked.prompts * max(asked.n or 1, asked.best_of or 1)


def _read_max_tokens(asked: Asked) -> int | None:
    """The client's limit; a negative one, which llama.cpp takes for none, is none."""
    for limit in (asked.max_completion_tokens, asked.max_output_tokens, asked.max_tokens):
        if limit is not None and limit >= 0:
            return limit
    return None


def _read_word(headers: Mapping[str, str]) -> _Word:
    return _Word(_read_request_id(headers), _read_tier(headers), _read_session(headers), _read_energy_wish(headers))


def _read_tier(headers: Mapping[str, str]) -> Tier | None:
    value = headers.get("x-jevons-tier")
    if value is None or (value := value.strip().lower()) == "auto":
        return None
    try:
        return Tier(value)
    except ValueError:
        raise BadRequest("x-jevons-tier must be direct, reasoning or auto.", param="x-jevons-tier") from None


def _read_session(headers: Mapping[str, str]) -> str | None:
    session = headers.get("x-jevons-session")
    if session is None:
        return None
    if not 0 < len(session) <= SESSION_LIMIT_CHARACTERS or not _is_printable(session):
        message = f"x-jevons-session must have 1 to {SESSION_LIMIT_CHARACTERS} printable ASCII characters."
        raise BadRequest(message, param="x-jevons-session")
    return session


def _read_energy_wish(headers: Mapping[str, str]) -> bool:
    wish = headers.get("x-jevons-energy")
    if wish is not None and wish.strip().lower() != "final":
        raise BadRequest("x-jevons-energy can only be final.", param="x-jevons-energy")
    return wish is not None


def _read_request_id(headers: Mapping[str, str]) -> str | None:
    own = headers.get("x-request-id")
    return own if own is not None and 0 < len(own) <= REQUEST_ID_LIMIT_CHARACTERS and _is_printable(own) else None


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
