"""Reading requests: what they ask, what is refused, what is sent on."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import BadRequest
from jevons.proxy.exchange import Endpoint, Request, Tier
from jevons.proxy.identity import Identity
from jevons.proxy.wire.parsing import DEPTH_LIMIT, JsonBody, is_too_deep, parse, usage_injection

CHAT = b'{"model":"auto","messages":[{"role":"user","content":"Hello"}]%s}'


def read(body: bytes, endpoint: Endpoint = Endpoint.CHAT, content_type: str = "application/json", **headers: str) -> Request:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return parse(endpoint, content_type, body, request_id="req-1", identity=Identity("acme"), headers=named, started_at=7.0)


def chat(more: bytes = b"") -> bytes:
    return CHAT % more


def test_a_chat_request_is_read() -> None:
    """Everything that a decision needs is there."""
    request = read(
        chat(
            b',"stream":true,"stream_options":{"include_usage":true},"n":3,"max_tokens":9,"max_completion_tokens":10,'
            b'"reasoning_effort":"low","chat_template_kwargs":{"enable_thinking":false}'
        )
    )
    assert (request.id, request.tenant, request.started_at, request.model) == ("req-1", "acme", 7.0, "auto")
    assert (request.stream, request.wants_usage, request.sequences, request.max_tokens) == (True, True, 3, 10)
    assert (request.reasoning_effort, request.template_kwargs) == ("low", {"enable_thinking": False})
    assert request.prompt.text == "Hello"


def test_defaults_are_what_the_client_left_out() -> None:
    """No stream, one sequence, no limit, no tier."""
    request = read(chat(b',"stream":null,"n":null,"max_tokens":-1'))
    assert (request.stream, request.wants_usage, request.sequences, request.max_tokens) == (False, False, 1, None)
    assert (request.tier, request.session, request.waits_for_energy, request.client_request_id) == (None, None, False, None)


@pytest.mark.parametrize(
    ("endpoint", "body", "sequences", "max_tokens"),
    [
        (Endpoint.COMPLETIONS, b'{"model":"m","prompt":["a","b"],"n":2,"best_of":3,"max_tokens":5}', 6, 5),
        (Endpoint.RESPONSES, b'{"model":"m","input":"x","max_output_tokens":7,"previous_response_id":"resp_1"}', 1, 7),
        (Endpoint.MESSAGES, b'{"model":"m","messages":[],"max_tokens":8}', 1, 8),
        (Endpoint.COUNT_TOKENS, b'{"model":"m","messages":[],"stream":true}', 1, None),
        (Endpoint.EMBEDDINGS, b'{"model":"m","input":["a","b","c"]}', 3, None),
        (Endpoint.RERANK, b'{"model":"m","query":"q","documents":["a","b"]}', 2, None),
    ],
)
def test_every_endpoint_is_read(endpoint: Endpoint, body: bytes, sequences: int, max_tokens: int | None) -> None:
    """Sequences and limits are found under each endpoint's names; what generates nothing streams nothing."""
    request = read(body, endpoint)
    assert (request.sequences, request.max_tokens, request.stream) == (sequences, max_tokens, False)
    assert request.previous_response_id == ("resp_1" if endpoint is Endpoint.RESPONSES else None)


def test_only_the_model_and_the_changes_are_rewritten() -> None:
    """Number literals, escapes, unknown fields and inner white space reach the server as they came."""
    body = chat(b',"temperature":0.70,"x":{"a" : [1,  2.0e5]},"\\u00e9":"\\u00e9\\/","seed":12345678901234567890123')
    sent = read(body).body.encode("llama", {"added": True})
    assert sent == body.replace(b'"auto"', b'"llama"').replace(b"\\u00e9", "é".encode(), 1)[:-1] + b',"added":true}'


def test_a_change_replaces_the_clients_field() -> None:
    """Changes win over what the client sent."""
    sent = json.loads(read(chat(b',"reasoning_effort":"high"')).body.encode("m", {"reasoning_effort": "none"}))
    assert sent["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "api_key", "extra_headers", "extra_body", "kv_transfer_params", "bootstrap_host"]
)
def test_fields_that_would_steer_a_server_are_taken_out(name: str) -> None:
    """No address, key or header from a request reaches a server, however its name is escaped."""
    escaped = name.replace("_", "\\u005f")
    for spelling in (name, escaped):
        sent = read(chat(b',"%s":"http://evil"' % spelling.encode())).body.encode("m", {})
        assert list(json.loads(sent)) == ["model", "messages"]


def test_a_field_given_twice_reaches_the_server_once() -> None:
    """What was read is what is sent: the last one, as every JSON reader has it."""
    request = read(chat(b',"model":"other","n":1,"n":2'))
    assert (request.model, request.sequences) == ("other", 2)
    assert json.loads(request.body.encode("m", {}), object_pairs_hook=list)[0] == ("model", "m")
    assert request.body.encode("m", {}).count(b'"n"') == 1


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "empty"),
        (b"hello", None, "byte 0"),
        (b'{"model":"m",}', None, "byte 13"),
        (b'{"model":', None, "breaks off at byte 9"),
        (b"[1]", None, "must be a JSON object"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud83d"}]}', None, "half a surrogate pair"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None, "UTF-8"),
        (b'{"messages":[]}', "model", "missing"),
        (b'{"model":7,"messages":[]}', "model", "expected `str`"),
        (b'{"model":"","messages":[]}', "model", "1 to 256"),
        (b'{"model":"%s","messages":[]}' % (b"m" * 257), "model", "1 to 256"),
        (b'{"model":"m"}', "messages", "missing"),
        (b'{"model":"m","messages":"hi"}', "messages", "expected `array`"),
        (b'{"model":"m","messages":["hi"]}', "messages[0]", "expected `object`"),
        (b'{"model":"m","messages":[{"content":[{"text":1}]}]}', "messages[0].content[0].text", "expected"),
        (chat(b',"stream":"true"'), "stream", "bool"),
        (chat(b',"stream_options":{"include_usage":1}'), "stream_options.include_usage", "bool"),
        (chat(b',"n":0'), "n", "between 1 and 128"),
        (chat(b',"n":129'), "n", "between 1 and 128"),
        (chat(b',"n":"2"'), "n", "int"),
        (chat(b',"best_of":0'), "best_of", "between 1 and 128"),
        (chat(b',"chat_template_kwargs":[]'), "chat_template_kwargs", "object"),
    ],
)
def test_bad_input_is_a_400_that_names_the_field(body: bytes, param: str | None, words: str) -> None:
    """The message says what is wrong, and `param` where."""
    with pytest.raises(BadRequest) as caught:
        read(body)
    assert caught.value.param == param
    assert words in caught.value.message


@pytest.mark.parametrize(("depth", "is_refused"), [(DEPTH_LIMIT - 1, False), (DEPTH_LIMIT, True), (100_000, True)])
def test_depth_is_capped(depth: int, *, is_refused: bool) -> None:
    """A body nested to the limit passes, one level more is refused before anything recurses."""
    body = chat(b',"x":' + b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2))
    if is_refused:
        with pytest.raises(BadRequest, match="deeper than 100"):
            read(body)
    else:
        assert read(body).model == "auto"


NESTED = st.recursive(
    st.none() | st.text(alphabet='[]{}"\\a', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\', max_size=2), inner, max_size=3),
    max_leaves=20,
)


@given(value=NESTED, depth=st.integers(80, 110), width=st.integers(0, 150))
def test_depth_is_measured_exactly(value: object, depth: int, width: int) -> None:
    """Brackets within strings do not count, and neither does width."""

    def measure(part: object) -> int:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else None
        return 0 if inner is None else 1 + max(map(measure, inner), default=0)

    value = [[[]] * width, value]
    for _ in range(depth):
        value = [value]
    assert is_too_deep(json.dumps(value).encode()) is (measure(value) > DEPTH_LIMIT)


def test_an_unfinished_string_takes_no_time() -> None:
    """Quotes and backslashes without an end are passed over once, not once each."""
    assert not is_too_deep(b'"\\' * 2_000_000 + b"[" * 200)


@pytest.mark.parametrize(
    ("headers", "tier", "session", "waits"),
    [
        ({"X_Jevons_Tier": "reasoning"}, Tier.REASONING, None, False),
        ({"x_jevons_tier": "Direct"}, Tier.DIRECT, None, False),
        ({"x_jevons_tier": "auto", "x_jevons_session": "chat 7"}, None, "chat 7", False),
        ({"x_jevons_energy": "final"}, None, None, True),
    ],
)
def test_our_own_headers_are_read(headers: dict[str, str], tier: Tier | None, session: str | None, *, waits: bool) -> None:
    """`auto` is no tier, and neither is a tier's case of any weight."""
    request = read(chat(), **headers)
    assert (request.tier, request.session, request.waits_for_energy) == (tier, session, waits)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-jevons-tier", "smart"),
        ("x-jevons-tier", ""),
        ("x-jevons-session", ""),
        ("x-jevons-session", "x" * 201),
        ("x-jevons-session", "é"),
        ("x-jevons-session", "a\x00b"),
        ("x-jevons-energy", "now"),
    ],
)
def test_a_bad_header_of_ours_is_a_400_that_names_it(name: str, value: str) -> None:
    """A wish that cannot be understood is not guessed at."""
    with pytest.raises(BadRequest) as caught:
        read(chat(), **{name: value})
    assert caught.value.param == name


def test_headers_pass_by_an_allow_list() -> None:
    """Keys, cookies, hop-by-hop and steering headers stay here; so does a value that is not printable."""
    request = read(
        chat(),
        Authorization="Bearer secret",
        Cookie="a=b",
        Connection="close",
        x_override_model="x",
        x_data_parallel_rank="1",
        x_body_compressed="1",
        x_api_key="secret",
        Accept="text/event-stream",
        OpenAI_Beta="assistants",
        Anthropic_Version="2023-06-01",
        traceparent="00-1",
        User_Agent="evil\r\nx: y",
    )
    assert request.headers == {
        "accept": "text/event-stream",
        "openai-beta": "assistants",
        "anthropic-version": "2023-06-01",
        "traceparent": "00-1",
    }


@pytest.mark.parametrize(
    ("own", "kept"), [("abc-1", "abc-1"), ("x" * 128, "x" * 128), ("x" * 129, None), ("é", None), ("a\tb", None), ("", None)]
)
def test_the_clients_request_id_is_kept_where_it_is_harmless(own: str, kept: str | None) -> None:
    """A long or unprintable id is dropped, not refused."""
    assert read(chat(), x_request_id=own).client_request_id == kept


@pytest.mark.parametrize(
    ("endpoint", "body", "options"),
    [
        (Endpoint.CHAT, chat(b',"stream":true'), b'{"include_usage":true}'),
        (Endpoint.CHAT, chat(b',"stream":true,"stream_options":null'), b'{"include_usage":true}'),
        (
            Endpoint.CHAT,
            chat(b',"stream":true,"stream_options":{"include_usage":false,"x":1.50}'),
            b'{"include_usage":true,"x":1.50}',
        ),
        (Endpoint.COMPLETIONS, b'{"model":"m","prompt":"x","stream":true}', b'{"include_usage":true}'),
        (Endpoint.CHAT, chat(), None),
        (Endpoint.CHAT, chat(b',"stream":true,"stream_options":{"include_usage":true}'), None),
        (Endpoint.RESPONSES, b'{"model":"m","input":"x","stream":true}', None),
        (Endpoint.MESSAGES, b'{"model":"m","messages":[],"stream":true}', None),
    ],
)
def test_usage_is_asked_for_where_the_client_did_not(endpoint: Endpoint, body: bytes, options: bytes | None) -> None:
    """Only chat and completions streams need it; the client's other stream options stay verbatim."""
    request = read(body, endpoint)
    injection = usage_injection(request)
    if options is None:
        assert injection == {}
    else:
        assert msgspec.json.encode(injection["stream_options"]) == options
        assert b'"stream_options":' + options in request.body.encode("m", injection)


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\r\n'
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nauto\r\n'
    b'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nsecret\r\n'
    b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\n%s\r\n--b--\r\n'
)


def test_a_transcription_is_a_form() -> None:
    """The model is read and replaced, the audio untouched, a key taken out."""
    request = read(FORM % b"true", Endpoint.TRANSCRIPTIONS, "multipart/form-data; boundary=b")
    assert (request.model, request.stream, request.sequences) == ("auto", True, 1)
    sent = request.body.encode("whisper", {})
    cut_out = b'--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nsecret\r\n'
    assert sent == (FORM % b"true").replace(b"auto", b"whisper").replace(cut_out, b"")
    assert request.body.content_type == "multipart/form-data; boundary=b"
    assert usage_injection(request) == {}


@pytest.mark.parametrize(
    ("content_type", "body", "param"),
    [
        ("application/json", b"{}", "content-type"),
        ("multipart/form-data; boundary=b", b"--b--\r\n", "model"),
        ("multipart/form-data; boundary=b", FORM % b"maybe", "stream"),
    ],
)
def test_a_bad_form_is_a_400_that_names_the_field(content_type: str, body: bytes, param: str) -> None:
    """A transcription without a form, a model or a sensible `stream`."""
    with pytest.raises(BadRequest) as caught:
        read(body, Endpoint.TRANSCRIPTIONS, content_type)
    assert caught.value.param == param


@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_garbage_is_refused_and_nothing_else(body: bytes) -> None:
    """Whatever arrives, BadRequest is all that comes out."""
    for endpoint in Endpoint:
        with pytest.raises(BadRequest):
            read(body, endpoint, "multipart/form-data; boundary=b")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(extra=st.dictionaries(st.text().map("x-".__add__), JSON, max_size=4))
def test_unknown_fields_survive_the_round_trip(extra: dict[str, object]) -> None:
    """Any JSON value under any name that we do not know reaches the server equal."""
    body = {"model": "auto", "messages": [], **extra}
    sent = json.loads(read(json.dumps(body).encode()).body.encode("m", {}))
    assert sent == {**body, "model": "m"}


def test_a_prompt_does_not_show_in_the_bodys_repr() -> None:
    """Bodies may end up in a log line; prompts may not."""
    body = read(chat()).body
    assert isinstance(body, JsonBody)
    assert "Hello" not in repr(body)


def test_what_was_asked_last_stands_before_the_last_answer():
    """To the letter: the conversation of the request before is the beginning of this one, with its system prompt and tools."""
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hé"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "42"},
        {"role": "assistant", "content": "So 42."},
        {"role": "user", "content": "Thanks"},
    ]

    def prompt(count):
        body = json.dumps({"model": "auto", "messages": turns[:count]}).encode()
        asked = parse(Endpoint.CHAT, "application/json", body, request_id="r", headers={}, started_at=0.0)
        return asked.prompt

    first, second, third = prompt(2), prompt(4), prompt(6)
    assert first.answered == 0
    assert second.conversation[: second.answered] == first.conversation
    assert third.conversation[: third.answered] == second.conversation
    assert [one.system for one in (first, second, third)] == ["Be kind."] * 3
    assert prompt(1).text == ""


def test_a_request_knows_what_its_key_allows():
    """The tenant, the key's name, the highest tier and the upstreams that it may use."""
    body = b'{"model": "auto", "messages": []}'
    identity = Identity("alice", "laptop", Tier.DIRECT, is_local_only=True, models=frozenset({"chat"}))
    asked = parse(Endpoint.CHAT, "application/json", body, request_id="r", identity=identity, headers={}, started_at=0.0)
    assert (asked.tenant, asked.key, asked.ceiling, asked.is_local_only) == ("alice", "laptop", Tier.DIRECT, True)
    assert asked.models == {"chat"}
