"""A node for tests: a real HTTP server on loopback, in a thread, that answers what a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """One answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    """The Content-Length it claims, where that is not the truth."""
    pieces: list[bytes] = field(default_factory=list)
    """Sent one by one instead of the body, each after `wait` returns."""
    wait: Callable[[], None] | None = None
    closes: bool = False


class FakeNode:
    """Replies by path (without the query) or by path and query; what is not there is 404."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | Callable[[str], Reply]] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections: list[socket.socket] = []
        """Every one that was ever made."""
        self.url = ""
        self.shut: Callable[[], None] = lambda: None

    def says(self, path: str, body: str | bytes, **options) -> None:
        """From now on this is the answer."""
        self.replies[path] = Reply(body.encode() if isinstance(body, str) else body, **options)

    def reply_to(self, target: str) -> Reply:
        reply = self.replies.get(target) or self.replies.get(target.partition("?")[0]) or Reply(b"not here", 404)
        return reply(target) if callable(reply) else reply


def _handler(node: FakeNode) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            node.connections.append(self.connection)

        def do_GET(self) -> None:
            node.asked.append(self.path)
            node.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = node.reply_to(self.path)
            length = sum(map(len, reply.pieces)) if reply.pieces else len(reply.body)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length if reply.length is None else reply.length))
            self.end_headers()
            for piece in reply.pieces or [reply.body]:
                if reply.wait is not None:
                    reply.wait()
                try:
                    self.wfile.write(piece)
                except OSError:  # the client has had enough
                    break
            self.close_connection = self.close_connection or reply.closes

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def fake_node(port: int = 0) -> Iterator[FakeNode]:
    """A node on loopback; `shut()` stops it, and then nothing listens at its address."""
    node = FakeNode()
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(node))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}"

    def shut() -> None:
        server.shutdown()
        server.server_close()
        for connection in node.connections:
            with suppress(OSError):  # it was closed before
                connection.shutdown(socket.SHUT_RDWR)
        node.shut = lambda: None

    node.shut = shut
    try:
        yield node
    finally:
        node.shut()
        thread.join()
