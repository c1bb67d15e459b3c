"""The mock model server speaks HTTP/1.1 and sends exactly the events that it is asked for."""

import json
import time
from contextlib import closing

import pytest
from bench_world import Client, request

pytest_plugins = ["bench_fixture"]


@pytest.fixture
def client(upstream_port):
    with closing(Client(upstream_port)) as client:
        yield client


def events_of(body):
    assert body.endswith(b"\n\n")
    return [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]


def test_a_chat_is_answered_with_usage(client):
    """A request that is no stream gets a chat completion of about 600 bytes, with its usage."""
    status, body = client.post(model="mock", messages=[])
    reply = json.loads(body)
    assert status == 200
    assert 500 < len(body) < 700
    assert reply["usage"]["total_tokens"] == 76
    assert reply["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("count", [2, 3, 128, 5000])
def test_a_stream_has_the_events_asked_for(client, count):
    """`max_tokens` events of about 250 bytes, the first with the role, the last with the finish reason; then the end."""
    _, body = client.post(stream=True, max_tokens=count)
    *events, done = events_of(body)
    parsed = [json.loads(event)["choices"][0] for event in events]
    assert done == b"[DONE]"
    assert len(events) == count
    assert parsed[0]["delta"]["role"] == "assistant"
    assert [one["finish_reason"] for one in parsed] == [None] * (count - 1) + ["stop"]
    assert {230 < len(event) < 270 for event in events[:-1]} == {True}


def test_usage_comes_only_where_it_is_asked_for(client):
    """`stream_options.include_usage` adds one event without choices, before the end."""
    _, body = client.post(stream=True, stream_options={"include_usage": True}, max_tokens=4)
    *events, usage, _ = events_of(body)
    assert len(events) == 4
    assert json.loads(usage)["choices"] == []
    assert json.loads(usage)["usage"] == {"prompt_tokens": 20, "completion_tokens": 4, "total_tokens": 24}
    _, body = client.post(stream=True, stream_options={"include_usage": False}, max_tokens=4)
    assert b"usage" not in body


def test_a_renamed_limit_is_understood(client):
    """Routers that send `max_completion_tokens` instead get as many events."""
    _, body = client.post(stream=True, max_completion_tokens=7)
    assert len(events_of(body)) == 8


def test_a_prompt_that_quotes_a_request_changes_nothing(client):
    """Only the fields at the top of the body count: neither a prompt nor a nested object is taken for them."""
    quoted = '{"max_tokens": 3, "stream": false, "seed": 1}'
    _, body = client.post(messages=[{"content": quoted}], tools={"max_tokens": 3, "stream": False}, stream=True, max_tokens=9)
    assert len(events_of(body)) == 10


def test_events_keep_their_pace(client):
    """`seed` is the microseconds between events: they cannot all be there before that time has passed."""
    began = time.monotonic()
    _, body = client.post(stream=True, max_tokens=12, seed=5000)
    assert len(events_of(body)) == 13
    assert time.monotonic() - began >= 10 * 0.005


def test_one_connection_serves_many_requests(client):
    """The connection is kept between replies of both kinds."""
    for _ in range(3):
        client.post(messages=[])
        client.post(stream=True, max_tokens=2)
    assert client.get("/stats") == {"requests": 7, "streams": 3, "connections": 1, "left_early": 0}


def test_requests_behind_a_stream_are_answered_after_it(client):
    """Requests sent at once are answered one after the other."""
    stream = request(b'{"stream": true, "max_tokens": 3}')
    client.send(stream + request(b"{}") + stream)
    kinds = [b"[DONE]" in client.reply()[1] for _ in range(3)]
    assert kinds == [True, False, True]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_chunked_bodies_are_read(client, size):
    """A body in chunks is the same body, however it is cut and whatever trailers it has."""
    body = b'{"stream": true, "max_tokens": 11, "messages": [{"content": "' + b"x" * 500 + b'"}]}'
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for chunk in chunks:
        client.send(f"{len(chunk):x};ext=1\r\n".encode() + chunk + b"\r\n")
    client.send(b"0\r\ntrailer: 1\r\n\r\n")
    assert len(events_of(client.reply()[1])) == 12
    client.post(messages=[])


def test_big_bodies_are_read(client):
    """Megabytes are no problem, with a length or in chunks, and the connection goes on after them."""
    prompt = "y" * 3_000_000
    status, _ = client.post(messages=[{"content": prompt}])
    assert status == 200
    body = json.dumps({"stream": True, "messages": [{"content": prompt}], "max_tokens": 5}).encode()
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    client.send(f"{len(body):X}\r\n".encode() + body + b"\r\n0\r\n\r\n")
    assert len(events_of(client.reply()[1])) == 6


def test_a_request_may_trickle_in(client):
    """A request that comes byte by byte is answered when it is whole."""
    for byte in request(b'{"stream":true,"max_tokens":2}'):
        client.send(bytes([byte]))
    assert len(events_of(client.reply()[1])) == 3


def test_a_waiting_client_is_told_to_go_on(client):
    """`Expect: 100-continue` is answered before the body comes."""
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert client.reply()[0] == 100
    client.send(b"{}")
    assert client.reply()[0] == 200


def test_a_slow_reader_gets_everything(client):
    """A client that does not read for a while is waited for, and misses nothing."""
    client.send(request(b'{"stream":true,"max_tokens":100000}'))
    time.sleep(0.1)
    assert len(events_of(client.reply()[1])) == 100_001


def test_a_client_that_leaves_is_noticed(upstream_port, client):
    """A stream whose client is gone ends, and is counted."""
    with closing(Client(upstream_port)) as other:
        other.send(request(b'{"stream":true,"max_tokens":100000,"seed":1000}'))
        other.reader.readline()
    deadline = time.monotonic() + 10
    while client.get("/stats")["left_early"] != 1:
        assert time.monotonic() < deadline
    assert len(events_of(client.post(stream=True, max_tokens=4)[1])) == 5


@pytest.mark.parametrize("body", [b"{}", b'{"stream": true, "max_tokens": 2}'])
def test_a_client_may_ask_for_the_end(client, body):
    """After a reply to `Connection: close` the connection is closed."""
    client.send(request(body, headers="connection: close\r\n"))
    assert client.reply()[0] == 200
    assert client.reader.read() == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /v1/chat/completions HTTP/1.0\r\n\r\n", 505),
        (b"PUT /v1/chat/completions HTTP/1.1\r\n\r\n", 405),
        (b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000, 431),
        (b"POST /v1/nothing HTTP/1.1\r\ncontent-length: 0\r\n\r\n", 404),
    ],
)
def test_what_it_does_not_understand_is_refused(client, data, status):
    """A broken request gets an error and does not stop the server."""
    client.send(data)
    assert client.reply()[0] == status


def test_routers_find_what_they_ask_for(client):
    """The list of models, and a health check of any name."""
    assert client.get("/v1/models")["data"][0]["id"] == "mock"
    assert client.get("/get_model_info")["model_path"] == "mock"
    assert client.get("/health")["status"] == "ok"
