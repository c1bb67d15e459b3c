"""Asking another host: over a real socket, with everything that can go wrong there."""

from __future__ import annotations

import socket
import threading

import pytest
from node_server import Reply, fake_node

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.node import Node, NodeError


@pytest.fixture
def server():
    with fake_node() as node:
        yield node


@pytest.fixture
def listener():
    """A socket that takes connections and leaves the rest to the test."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def url_of(listener):
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_one_connection_serves_many_requests(server):
    """A path is appended to the address; the connection is kept; nobody is told to compress."""
    server.says("/base/a", "one")
    server.says("/base/b", "two")
    node = Node(f"{server.url}/base")
    assert [node.get("/a"), node.get("/b"), node.get("/a")] == [b"one", b"two", b"one"]
    assert len(server.connections) == 1
    assert server.headers[0]["accept-encoding"] == "identity"
    assert "authorization" not in server.headers[0]
    node.close()


def test_a_token_is_sent_as_a_bearer(server):
    """To the node, in the one header."""
    server.says("/", "x")
    node = Node(server.url, token="secret")
    node.get("/")
    assert server.headers[0]["authorization"] == "Bearer secret"
    node.close()


def test_a_kept_connection_that_was_closed_is_made_anew(server):
    """A node that restarts, or closes what is idle, is asked again at once."""
    server.says("/", "before", closes=True)
    node = Node(server.url)
    assert node.get("/") == b"before"
    server.says("/", "after")
    assert node.get("/") == b"after"
    node.close()


def test_a_node_that_is_down_is_named(server):
    """The reason has the address and the system's words; once the node is back it is read again."""
    node = Node(server.url)
    server.says("/", "up")
    assert node.get("/") == b"up"
    server.shut()
    with pytest.raises(MeterError, match=r"127\.0\.0\.1:\d+: Connection (refused|reset)"):
        node.get("/")
    with fake_node(port=int(server.url.rpartition(":")[2])) as again:
        again.says("/", "again")
        assert node.get("/") == b"again"
        node.close()


def test_a_name_that_cannot_be_one_is_a_reason():
    """A label of a host name has at most 63 characters."""
    with pytest.raises(MeterError, match=r"n{64}:4938: "):
        Node(f"http://{'n' * 64}:4938").get("/")


def test_redirects_are_not_followed(server):
    """Neither the request nor its token goes where the node points."""
    server.says("/", "", status=302, headers={"Location": "/elsewhere"})
    server.says("/elsewhere", "got you")
    node = Node(server.url, token="secret")
    with pytest.raises(MeterError, match="redirects / to /elsewhere, which is not followed"):
        node.get("/")
    assert server.asked == ["/"]
    node.close()


def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    """The request goes to the address in the configuration."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.says("/", "direct")
    node = Node(server.url)
    assert node.get("/") == b"direct"
    node.close()


def test_an_error_is_quoted(server):
    """Status, path and the first words of the answer, on one line."""
    server.says("/x", "no\nsuch thing" + "." * 500, status=500)
    node = Node(server.url)
    with pytest.raises(NodeError, match=r"HTTP 500 for /x: no such thing\.{100,200}$") as caught:
        node.get("/x")
    assert (caught.value.status, caught.value.body[:2]) == (500, b"no")
    server.says("/x", "fine")
    assert node.get("/x") == b"fine"
    node.close()


def test_a_reply_that_is_too_long_is_given_up(server):
    """A node cannot fill the memory; the connection with the rest of it is not used again."""
    server.says("/", b"x" * 200_000)
    node = Node(server.url, most_bytes=100_000)
    with pytest.raises(MeterError, match="the reply exceeds 100000 bytes"):
        node.get("/")
    server.says("/", b"short")
    assert node.get("/") == b"short"
    node.close()


def test_a_node_that_does_not_answer_is_given_up(listener):
    """The connection is taken, and then nothing comes."""
    with pytest.raises(MeterError, match=r"no answer within 0\.05 s"):
        Node(url_of(listener), timeout_seconds=0.05).get("/")


def test_a_node_that_stops_in_the_middle_is_given_up(server):
    """The head comes, the body does not."""
    stop = threading.Event()
    server.says("/", b"late", wait=lambda: stop.wait(30) and None)
    try:
        with pytest.raises(MeterError, match=r"no answer within 0\.05 s"):
            Node(server.url, timeout_seconds=0.05).get("/")
    finally:
        stop.set()


def test_a_node_that_drips_is_given_up(server):
    """Each byte comes in time, the whole does not."""
    tick = threading.Event()
    server.replies["/"] = Reply(pieces=[b"x"] * 1000, wait=lambda: tick.wait(0.02) and None)
    try:
        with pytest.raises(MeterError, match=r"no answer within 0\.2 s"):
            Node(server.url, timeout_seconds=0.2).get("/")
    finally:
        tick.set()


def answer_once(listener, text):
    """Take one connection, send this whatever is asked, and close it."""

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(text)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Remote end closed connection"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP: SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "no HTTP: IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "no HTTP: got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "no HTTP: got more than 65536 bytes"),
    ],
)
def test_what_is_not_http_is_a_reason(listener, text, reason):
    """Silence, another protocol, a reply that breaks off, heads without end."""
    thread = answer_once(listener, text)
    with pytest.raises(MeterError, match=reason):
        Node(url_of(listener)).get("/")
    thread.join()


@pytest.mark.parametrize(("body", "reason"), [("{", "no JSON for /j"), ("[1]", "no JSON object for /j"), (b"\xff", "no JSON")])
def test_what_is_no_json_object_is_a_reason(server, body, reason):
    """Broken JSON, another value, bytes that are no text."""
    server.says("/j", body)
    node = Node(server.url)
    with pytest.raises(MeterError, match=reason):
        node.get_json("/j")
    server.says("/j", '{"a": 1}')
    assert node.get_json("/j") == {"a": 1}
    node.close()
