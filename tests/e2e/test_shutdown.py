"""The end of the real process: streams finish or are cut off at the deadline, and the exit code says which end it was."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import openai
import pytest
from jevons_process import PATIENCE_SECONDS, get, until

ASK = [{"role": "user", "content": "What is the capital of Peru?"}]
NEVER_REACHED_SECONDS = 600
"""A deadline so late that a test which waited for it would fail."""


class Stream:
    """One raw streamed answer, read byte by byte: how it ends is what these tests are about."""

    def __init__(self, main, model, **fields):
        self.connection = http.client.HTTPConnection(urlsplit(main).netloc, timeout=PATIENCE_SECONDS)
        body = {"model": model, "messages": ASK, "stream": True, **fields}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        self.reply = self.connection.getresponse()
        self.first = self.reply.readline()

    def close(self):
        """Let go."""
        self.reply.close()
        self.connection.close()


def refuses(main):
    """Whether nobody accepts connections there any more."""
    address = urlsplit(main)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) != 0


def test_a_stream_finishes(serve):
    """SIGTERM mid-stream: new connections are refused, the stream goes on to its clean end, and the exit code is 0."""
    process = serve(drain_seconds=NEVER_REACHED_SECONDS)
    with closing(Stream(process.main, "chat", max_tokens=150)) as stream:
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: refuses(process.main))
        status, health = get(f"{process.admin}/healthz")
        assert (status, health["status"]) == (200, "draining")
        assert get(f"{process.admin}/readyz")[0] == 503
        rest = stream.reply.read()
        assert process.wait() == 0  # although this end of the connection is still open
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert rest.count(b"data: ") > 100
    assert [line["in_flight"] for line in process.logs if line["event"] == "draining"] == [1]


def test_the_stream_is_cut_off_at_the_deadline(serve):
    """A stream that does not end in time is cut off without a clean end, at the deadline and not long after; exit code 0."""
    drain_seconds = 1.5
    process = serve(drain_seconds=drain_seconds)
    with closing(Stream(process.main, "thinker", n=8)) as stream:
        began = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        with pytest.raises(http.client.IncompleteRead) as broken:
            stream.reply.read()
        assert drain_seconds <= time.monotonic() - began < 2 * drain_seconds
    assert b"[DONE]" not in broken.value.partial
    assert process.wait() == 0


def test_the_client_sees_that_it_was_cut_off(serve):
    """The real client raises: it does not take what it has for the whole answer."""
    process = serve(drain_seconds=0)
    with openai.OpenAI(base_url=f"{process.main}/v1", api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(model="thinker", messages=ASK, stream=True)
        next(stream)
        process.popen.send_signal(signal.SIGTERM)
        with pytest.raises(openai.APIConnectionError):
            list(stream)
    assert process.wait() == 0


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT)])
def test_a_second_signal_ends_at_once(serve, models, numbers):
    """It waits for nobody: exit code 1 and a line that says why, no traceback, and the engine is let go."""
    first, second = numbers
    process = serve(drain_seconds=NEVER_REACHED_SECONDS)
    with closing(Stream(process.main, "thinker", n=8)) as stream:
        process.popen.send_signal(first)
        until(lambda: refuses(process.main))
        assert process.stop(second) == 1
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.reply.read()
    assert process.errors.splitlines()[-1] == "jevons: ended at once by a second signal: what was in flight has been cut off"
    assert "Traceback" not in process.errors
    until(lambda: get(f"{models.thinker.main}/simulation/state")[1]["running"] == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_connection_holds_nothing_up(serve, number):
    """A client that keeps its connection open and asks nothing is not waited for."""
    process = serve(drain_seconds=NEVER_REACHED_SECONDS)
    with closing(http.client.HTTPConnection(urlsplit(process.main).netloc, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", "/v1/models")
        assert connection.getresponse().read()
        assert process.stop(number) == 0


def test_a_half_sent_request_is_cut_off(serve):
    """A client that has promised a body and sends none is cut off at the deadline like any other."""
    process = serve(drain_seconds=0.3)
    address = urlsplit(process.main)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        get(f"{process.main}/v1/models")
        assert process.stop() == 0
        assert client.recv(1000) == b""
