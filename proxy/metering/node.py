"""Another host, asked by HTTP from a reader's thread: one GET after the other over one connection, and nothing else.

`http.client` follows no redirect and knows no proxy of the environment, so that a request goes where the configuration says
and a token goes nowhere else. A reply is bounded in time and in size. Whatever goes wrong is a MeterError that a reader of
`jevons check` understands.
"""

from __future__ import annotations

import http.client
import json
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from ..errors import MeterError
from ..units import Seconds

TIMEOUT_SECONDS: Final[Seconds] = 2.0
MOST_BYTES: Final = 8 * 1024 * 1024
_PIECE: Final = 65_536
_QUOTED: Final = 200
_REDIRECTS: Final = range(300, 400)


class NodeError(MeterError):
    """The node answered, and what it answered was an error."""

    def __init__(self, message: str, *, status: int, body: bytes) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class Node:
    """One address. Not to be shared between threads."""

    def __init__(
        self, url: str, *, token: str | None = None, timeout_seconds: Seconds = TIMEOUT_SECONDS, most_bytes: int = MOST_BYTES
    ) -> None:
        self.url = url
        parts = urlsplit(url)
        self.address = parts.netloc
        """Host and port, for people."""
        self._prefix = parts.path
        self._timeout_seconds = timeout_seconds
        self._most_bytes = most_bytes
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "jevons"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)

    def get(self, path: str = "") -> bytes:
        """What the node answers to a GET; raises MeterError with the reason where it is not a 200 (another status: NodeError)."""
        try:
            response = self._ask(self._prefix + path or "/")
            body = self._read(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise MeterError(f"{self.address}: {_reason(error, self._timeout_seconds)}") from error
        if response.status in _REDIRECTS:
            target = response.headers.get("Location", "an unknown place")
            raise MeterError(f"{self.address}: redirects {path or self._prefix} to {target}, which is not followed")
        if response.status != http.client.OK:
            quoted = " ".join(body[:_QUOTED].decode(errors="replace").split())
            message = f"{self.address}: HTTP {response.status} for {path or self._prefix}: {quoted}"
            raise NodeError(message, status=response.status, body=body)
        return body

    def get_json(self, path: str) -> dict[str, object]:
        """A JSON object; raises MeterError where it is none."""
        body = self.get(path)
        try:
            value = json.loads(body)
        except ValueError as error:
            raise MeterError(f"{self.address}: no JSON for {path}: {error}") from error
        if not isinstance(value, dict):
            raise MeterError(f"{self.address}: no JSON object for {path}")
        return value

    def close(self) -> None:
        """Let go of the connection; the next GET makes a new one."""
        with suppress(OSError):
            self._connection.close()

    def _ask(self, target: str) -> http.client.HTTPResponse:
        """Send, and receive the head; once more where the node has closed a connection that it had kept."""
        was_kept = self._connection.sock is not None
        try:
            self._connection.request("GET", target, headers=self._headers)
            return self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            if not was_kept:
                raise
        self.close()
        self._connection.request("GET", target, headers=self._headers)
        return self._connection.getresponse()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body, within the time of one timeout and the size allowed."""
        deadline = time.monotonic() + self._timeout_seconds
        pieces, size = [], 0
        with response:
            while piece := response.read1(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > self._most_bytes:
                    raise ValueError(f"the reply exceeds {self._most_bytes} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        return b"".join(pieces)


def _reason(error: Exception, timeout_seconds: Seconds) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_seconds:g} s"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"no HTTP: {error}" if str(error) else f"no HTTP: {type(error).__name__}"
