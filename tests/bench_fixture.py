"""Fixtures for tests of the bench: name this module in a test module's `pytest_plugins`. The C programs are compiled once."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest

from jevons.proxy.bench.programs import Programs, build

Serve = Callable[..., int]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The mock model server and the load client, compiled."""
    return build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def upstream_port(programs: Programs) -> Iterator[int]:
    """Where a mock model server of this test's own listens."""
    with subprocess.Popen([programs.mock], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split()[1])
        finally:
            process.kill()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve([b"HTTP/1.1 …", …])` answers every request with these pieces, each sent on its own, and returns its port."""
    with ExitStack() as stack:

        def start(pieces: Sequence[bytes], *, closes: bool = False) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=_accept, args=(listener, pieces, closes), daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start


def _accept(listener: socket.socket, pieces: Sequence[bytes], closes: bool) -> None:  # noqa: FBT001 - a thread's target
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, pieces, closes), daemon=True).start()


def _answer(connection: socket.socket, pieces: Sequence[bytes], closes: bool) -> None:  # noqa: FBT001 - a thread's target
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while connection.recv(65536):  # the client sends each request, a small one, in one write
                for piece in pieces:
                    connection.sendall(piece)
                if closes:
                    return
        except OSError:
            return
