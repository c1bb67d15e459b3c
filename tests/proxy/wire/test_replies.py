"""JSON replies: usage, energy, errors."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Endpoint, Energy, Method, Usage
from jevons.proxy.wire.replies import ERROR_CHARACTERS, normalise_error, read_usage, response_id, with_energy

RECORDED = Path(__file__).parents[2] / "recorded"
ENERGY = Energy(joules=1.5, low=1.0, high=2.0, method=Method.MEASURED, scope="gpu").as_json()
CHAT, TEXT, MESSAGES, RESPONSES = Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.MESSAGES, Endpoint.RESPONSES


def recorded(name: str) -> bytes:
    return (RECORDED / f"transformers-{name}.txt").read_bytes()


@pytest.mark.parametrize(
    ("endpoint", "usage", "counts"),
    [
        (CHAT, b'{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}', Usage(9, None, None, 5)),
        (CHAT, b'{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":null}', Usage(9, None, None, 5)),
        (
            CHAT,
            (
                b'{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3},'
                b'"completion_tokens_details":{"reasoning_tokens":2}}'
            ),
            Usage(9, 3, 2, 5),
        ),
        (CHAT, b'{"prompt_tokens":9,"completion_tokens":5,"reasoning_tokens":4}', Usage(9, None, 4, 5)),
        (CHAT, b'{"prompt_tokens":9,"completion_tokens":5,"prompt_cache_hit_tokens":8}', Usage(9, 8, None, 5)),
        (CHAT, b'{"prompt_tokens":0,"completion_tokens":0}', Usage()),
        (CHAT, b"null", Usage()),
        (CHAT, b'{"prompt_tokens":"nine"}', Usage()),
        (
            RESPONSES,
            (
                b'{"input_tokens":9,"output_tokens":5,"input_tokens_details":{"cached_tokens":1},'
                b'"output_tokens_details":{"reasoning_tokens":0}}'
            ),
            Usage(9, 1, 0, 5),
        ),
        (MESSAGES, b'{"input_tokens":9,"output_tokens":5}', Usage(9, None, None, 5)),
        (
            MESSAGES,
            b'{"input_tokens":9,"output_tokens":5,"cache_read_input_tokens":90,"cache_creation_input_tokens":1}',
            Usage(100, 90, None, 5),
        ),
        (Endpoint.EMBEDDINGS, b'{"prompt_tokens":8,"total_tokens":8}', Usage(8)),
        (Endpoint.RERANK, b'{"total_tokens":56}', Usage(56)),
        (Endpoint.TRANSCRIPTIONS, b'{"type":"duration","seconds":5}', Usage()),
    ],
)
def test_usage_is_read_under_every_name(endpoint: Endpoint, usage: bytes, counts: Usage) -> None:
    """Each server's names for token counts end in the same four; zeros and nonsense are unknown."""
    assert read_usage(endpoint, b'{"usage":' + usage + b"}") == counts


def test_llama_cpps_timings_stand_in_for_usage() -> None:
    """What llama.cpp measured says how much there was."""
    body = b'{"timings":{"cache_n":20,"prompt_n":5,"prompt_ms":1.5,"predicted_n":2}}'
    assert read_usage(CHAT, body) == Usage(25, 20, None, 2)


@pytest.mark.parametrize(
    ("endpoint", "reply", "reasoning"),
    [
        (CHAT, {"choices": [{"message": {"content": "a" * 25, "reasoning": "b" * 75}}]}, 6),
        (CHAT, {"choices": [{"message": {"content": None, "reasoning_content": "b" * 75}}]}, 8),
        (CHAT, {"choices": [{"message": {"content": "<think>" + "b" * 43 + "</think>" + "a" * 42}}]}, 4),
        (CHAT, {"choices": [{"message": {"content": "b" * 50 + "</think>" + "a" * 42}}]}, 4),
        (CHAT, {"choices": [{"message": {"content": "<think>still thinking"}}]}, 8),
        (CHAT, {"choices": [{"message": {"content": "<think>\n\n</think>Paris"}}]}, None),
        (CHAT, {"choices": [{"message": {"content": "Paris", "reasoning_content": "\n\n"}}]}, None),
        (CHAT, {"choices": [{"message": {"content": "I think so"}}]}, None),
        (CHAT, {"choices": [{"message": {"reasoning": "b" * 20, "tool_calls": ["x" * 16]}}]}, 4),
        (TEXT, {"choices": [{"text": "b" * 50 + "</think>" + "a" * 42}]}, 4),
        (MESSAGES, {"content": [{"type": "thinking", "thinking": "b" * 30}, {"type": "text", "text": "a" * 10}]}, 6),
        (MESSAGES, {"content": [{"type": "thinking", "thinking": "b" * 30}, {"type": "tool_use", "input": {"a": 1234}}]}, 6),
        (
            RESPONSES,
            {
                "output": [
                    {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "b" * 30}], "summary": []},
                    {"type": "message", "content": [{"type": "output_text", "text": "a" * 10}]},
                ]
            },
            6,
        ),
        (
            RESPONSES,
            {
                "output": [
                    {"type": "reasoning", "content": None, "summary": [{"type": "summary_text", "text": "b" * 10}]},
                    {"type": "function_call", "arguments": "a" * 10},
                ]
            },
            4,
        ),
    ],
)
def test_reasoning_that_was_not_counted_is_estimated_by_its_share(
    endpoint: Endpoint, reply: dict[str, object], reasoning: int | None
) -> None:
    """Where the server counts the completion only, reasoning is its share of the text; none seen, none claimed."""
    body = msgspec.json.encode({**reply, "usage": {"prompt_tokens": 1, "completion_tokens": 8}})
    usage = read_usage(endpoint, body)
    assert usage == Usage(1, None, reasoning, 8, is_reasoning_estimated=reasoning is not None)


@pytest.mark.parametrize(
    ("name", "endpoint", "usage"),
    [
        ("chat", CHAT, Usage(21, None, 8, 8, is_reasoning_estimated=True)),
        ("completions", TEXT, Usage(7, None, None, 8)),
        ("responses", RESPONSES, Usage(21, 0, 8, 8, is_reasoning_estimated=True)),
    ],
)
def test_recorded_replies_are_understood(name: str, endpoint: Endpoint, usage: Usage) -> None:
    """What `transformers serve` really sends is read, and gains energy without losing anything."""
    body = recorded(name)
    assert read_usage(endpoint, body) == usage
    edited = json.loads(with_energy(endpoint, body, ENERGY))
    assert edited["usage"].pop("energy") == ENERGY
    assert edited == json.loads(body)


def test_all_but_the_energy_stays_byte_for_byte() -> None:
    """Number literals, escapes, inner white space and the order of fields survive."""
    body = b'{"id":"x","temperature":0.70,"t":"\\u00e9\\/","o":[1,  2],"usage":{"prompt_tokens":1,"x":1E3},"z":null}'
    energy = msgspec.json.encode(ENERGY)
    assert with_energy(CHAT, body, ENERGY) == body.replace(b'"x":1E3}', b'"x":1E3,"energy":' + energy + b"}")


@pytest.mark.parametrize(
    "body", [b"", b"plain text", b"[1]", b'{"usage":null}', b'{"usage":[1]}', b'{ "id" : 1 }', b'{"usage":{}', b"\xff"]
)
def test_a_reply_without_a_place_for_energy_is_untouched(body: bytes) -> None:
    """No usage, no JSON: the very bytes that came."""
    assert with_energy(CHAT, body, ENERGY) == body
    assert read_usage(CHAT, body) == Usage()


def test_counting_tokens_costs_no_energy_to_report() -> None:
    """`count_tokens` puts nothing on the device, so that its reply stays as it is."""
    body = b'{"input_tokens":1,"usage":{}}'
    assert with_energy(Endpoint.COUNT_TOKENS, body, ENERGY) == body


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        (RESPONSES, b'{"id":"resp_1","output":[]}', "resp_1"),
        (RESPONSES, b'{"id":7}', None),
        (RESPONSES, b"{}", None),
        (RESPONSES, b"<html>", None),
        (CHAT, b'{"id":"chatcmpl-1"}', None),
    ],
)
def test_only_responses_have_an_id_to_go_on_from(endpoint: Endpoint, body: bytes, expected: str | None) -> None:
    """A chat completion's id refers to nothing that a server keeps."""
    assert response_id(endpoint, body) == expected


def error(message: str, kind: str, param: str | None = None, code: object = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            400,
            b'{"object":"error","message":"too long","type":"BadRequestError","param":"max_tokens","code":400}',
            error("too long", "BadRequestError", "max_tokens", 400),
        ),
        (404, b'{"error":"model \\"x\\" not found, try pulling it first"}', None),
        (404, b'{"detail":"Not Found"}', error("Not Found", "invalid_request_error")),
        (
            422,
            (
                b'{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required","input":{}},'
                b'{"type":"x","loc":[],"msg":"Also wrong"}]}'
            ),
            error("messages.0.role: Field required; Also wrong", "invalid_request_error", "messages.0.role"),
        ),
        (400, b'{"detail":{"message":"deep"}}', error("deep", "invalid_request_error")),
        (500, b"Internal Server Error", error("Internal Server Error", "upstream_error")),
        (
            502,
            b"<html>\n<head><title>502 Bad Gateway</title><style>a</style></head><body><h1>502 Bad Gateway</h1></body>",
            error("502 Bad Gateway", "upstream_error"),
        ),
        (503, b"", error("The model server answered 503 without a word.", "upstream_error")),
        (429, b'{"message":"slow down"}', error("slow down", "rate_limit_error")),
        (400, b'{"error":null,"unknown":1}', error('{"error":null,"unknown":1}', "invalid_request_error")),
    ],
)
def test_errors_get_the_one_shape_that_clients_know(status: int, body: bytes, expected: dict[str, object] | None) -> None:
    """SGLang's flat object, Ollama's string, FastAPI's detail, HTML and silence all become OpenAI's error."""
    expected = expected or error('model "x" not found, try pulling it first', "invalid_request_error")
    assert json.loads(normalise_error(status, body)) == expected


@pytest.mark.parametrize(
    "body", [b'{"error": {"message":"x",  "code": 4.0}}', b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}']
)
def test_an_error_in_shape_is_verbatim(body: bytes) -> None:
    """What OpenAI's or Anthropic's clients understand already is not touched."""
    assert normalise_error(400, body) is body


@pytest.mark.parametrize("name", ["400", "404", "422"])
def test_recorded_errors_keep_their_words(name: str) -> None:
    """The details that `transformers serve` gives reach the client."""
    body = recorded(f"error-{name}")
    assert json.loads(normalise_error(int(name), body))["error"]["message"] == json.loads(body)["detail"]


@given(status=st.integers(400, 599), body=st.binary(max_size=200) | st.text().map(str.encode))
def test_any_error_body_becomes_an_error(status: int, body: bytes) -> None:
    """Whatever a broken server sends, the client gets JSON with a message."""
    message = json.loads(normalise_error(status, body))["error"]["message"]
    assert message
    assert len(message) <= ERROR_CHARACTERS


def test_a_page_long_error_is_cut() -> None:
    """A stack trace of a megabyte does not pass through."""
    assert len(normalise_error(500, b"x " * 1_000_000)) < 2 * ERROR_CHARACTERS


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"x","usage":{"prompt_tokens":1},"z":[1, 2]}',
        b'{ "usage": {"prompt_tokens": 1, "details": {"a": 2} } , "id" : "x" }',
        b'{"usage":\n{"prompt_tokens":1}\n}',
        b'{"text":"\\"usage\\":{\\"a\\":1}","usage":{"prompt_tokens":1}}',
    ],
)
def test_nothing_but_the_energy_is_new(body: bytes) -> None:
    """Spaces, order and escapes stay, whatever the texts say."""
    energy = b',"energy":' + msgspec.json.encode(ENERGY)
    edited = with_energy(CHAT, body, ENERGY)
    assert edited.count(energy) == 1
    assert edited.replace(energy, b"") == body
    assert json.loads(edited)["usage"] == {**json.loads(body)["usage"], "energy": ENERGY}


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices":[{"usage":{"a":1}}],"usage":{"a":1}}',
        b'{"usage":{},"x":{"a":1}}',
        b'{"usage":{"energy":7,"a":1}}',
        b'{"usage" :{"a":1}}',
        b'{"a\\"usage":{"b":1},"usage":{"a":1}}',
        b'{"\\u0075sage":{"a":1},"x":{"usage":{"a":2}}}',
        b'{"usage":null,"x":{"a":1}}',
    ],
)
def test_the_energy_is_in_the_usage_of_the_reply(body: bytes) -> None:
    """Where the key stands twice, is written oddly or holds something odd: the top level's alone is meant."""
    usage = json.loads(body)["usage"]
    wanted = {**json.loads(body), "usage": {**usage, "energy": ENERGY}} if usage is not None else json.loads(body)
    assert json.loads(with_energy(CHAT, body, ENERGY)) == wanted
