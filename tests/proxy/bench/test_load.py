"""The load client counts what it is served exactly, and calls nothing good that is not whole."""

import json

import pytest
from bench_world import Client

from jevons.proxy.bench.load import LoadClient
from jevons.proxy.bench.workloads import Workload
from jevons.proxy.errors import JevonsError

pytest_plugins = ["bench_fixture"]

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = Workload("json", "JSON replies", connections=2)
STREAMS = Workload("streams", "streams", connections=2, events=3)


@pytest.fixture
def load(programs, tmp_path):
    """Loads a port for a moment."""

    def run(port, workload, *, seconds=0.15, on_edge=lambda: None):
        client = LoadClient(programs.load, port, "some-model", "sk-x", tmp_path)
        return client.run(workload, seconds=seconds, warmup_seconds=0.05, on_edge=on_edge)[0]

    return run


def chunked(*events):
    return b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"


THREE = chunked(b'data: {"a":1}\n\n', b'data: {"b":"data: no event"}\n\n: comment\n\ndata:{"c":3}\n\n', b"data: [DONE]\n\n")


def test_replies_are_counted(load, upstream_port):
    """Each reply counts once, on connections that are kept."""
    result = load(upstream_port, JSON)
    assert result.ok > 10
    assert (result.bad, result.odd, result.reconnects, result.events) == (0, 0, 0, 0)
    assert result.latency_us.count == result.ok
    assert result.latency_us.p50 <= result.latency_us.p90 <= result.latency_us.p99 <= result.latency_us.max
    assert result.first_event_us is None


def test_events_are_counted(load, upstream_port):
    """Each event of a stream counts once, its end does not; each stream has as many as it should."""
    result = load(upstream_port, Workload("flood", "flood", connections=3, events=50))
    assert result.ok > 3
    assert (result.bad, result.odd, result.reconnects) == (0, 0, 0)
    assert abs(result.events - 50 * result.ok) <= 3 * 50  # streams that lie across an edge
    assert result.first_event_us.count > 0


def test_who_leaves_is_neither_good_nor_bad(load, upstream_port):
    """After so many events the connection is closed, and the next stream is asked for on another; the server sees that."""
    result = load(upstream_port, Workload("leave", "leave", connections=2, events=1000, pace_us=2000, leaves_after=2))
    assert result.left > 3
    assert (result.ok, result.bad, result.reconnects) == (0, 0, result.left)
    server = Client(upstream_port)
    assert server.get("/stats")["left_early"] >= result.left
    server.close()


def test_the_wait_between_events_is_seen(load, upstream_port):
    """Events at a pace arrive at no shorter distance on average."""
    result = load(upstream_port, Workload("paced", "paced", connections=1, events=1000, pace_us=5000))
    assert result.gap_us.mean > 3000
    assert 0 < result.events < 100


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_it_does_not_matter_how_a_reply_is_cut(load, serve, size):
    """Events are found in whatever pieces the reply comes, through chunk extensions and trailers."""
    reply = CHUNKED + THREE.replace(b"\r\n", b";x=1\r\n", 1).replace(b"0\r\n\r\n", b"0\r\nx: 1\r\n\r\n")
    result = load(serve([reply[start : start + size] for start in range(0, len(reply), size)]), STREAMS, seconds=0.3)
    assert result.ok > 0
    assert (result.bad, result.odd, result.reconnects) == (0, 0, 0)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_a_whole_reply_is_good(load, serve, reply):
    """With a length or in chunks, empty, or after an interim reply."""
    result = load(serve([reply]), JSON)
    assert result.ok > 0
    assert (result.bad, result.reconnects) == (0, 0)


def test_a_reply_may_end_with_its_connection(load, serve):
    """Without a length the end of the connection is the end of the reply; and `Connection: close` means what it says."""
    for reply in (b"HTTP/1.1 200 OK\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"):
        result = load(serve([reply], closes=True), JSON)
        assert result.ok > 0
        assert result.bad == 0
        assert result.reconnects >= result.ok - 2


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}",
        CHUNKED + THREE[:40],
        CHUNKED + chunked(b"data: {}\n\n"),
        CHUNKED + b"zz\r\n",
        b"nonsense of some length\r\n\r\n",
        b"",
    ],
)
def test_a_broken_reply_is_bad(load, serve, reply):
    """Errors, replies that break off, streams without `[DONE]` and what is no HTTP do not count as served."""
    result = load(serve([reply], closes=True), JSON)
    assert result.ok == 0
    assert result.bad > 0


def test_another_number_of_events_is_odd(load, serve):
    """A stream that is whole but has fewer events than were sent is told apart."""
    result = load(serve([CHUNKED + THREE]), Workload("more", "more", connections=1, events=4))
    assert result.ok > 0
    assert result.odd == result.ok


def test_a_rate_is_kept(load, upstream_port):
    """At a rate, so many requests begin and no more."""
    result = load(upstream_port, Workload("calm", "calm", connections=2, rate=100), seconds=0.5)
    assert 25 <= result.ok <= 52
    assert result.bad == 0


def test_requests_that_wait_are_late(load, upstream_port):
    """A request that finds no free connection is counted, and its wait is part of its time."""
    stream_seconds = 0.1
    slow = Workload("slow", "slow", connections=1, rate=100, events=11, pace_us=10_000)
    result = load(upstream_port, slow, seconds=0.5)
    assert result.late > 0
    assert result.latency_us.max > 1.5 * stream_seconds * 1e6


def test_the_edges_are_told(load, upstream_port):
    """Whoever reads a clock is called as counting begins and as it ends."""
    calls = []
    load(upstream_port, JSON, on_edge=lambda: calls.append(len(calls)))
    assert calls == [0, 1]


def test_nobody_there_is_an_error(load):
    """Where nobody listens the error says on which port, and why."""
    with pytest.raises(JevonsError, match="port 1 broke off: connect: Connection refused"):
        load(1, JSON)


def test_the_request_is_what_the_workload_says(tmp_path, programs, upstream_port):
    """The body asks the mock for its stream in fields that every proxy passes on."""
    client = LoadClient(programs.load, upstream_port, "some-model", "sk-x", tmp_path)
    client.run(STREAMS, seconds=0.1, warmup_seconds=0.0, on_edge=lambda: None)
    body = json.loads((tmp_path / "streams.json").read_text())
    assert (body["model"], body["stream"], body["max_tokens"], body["seed"]) == ("some-model", True, 3, 0)
