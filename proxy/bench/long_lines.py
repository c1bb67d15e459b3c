"""A model server for `jevons bench blocking`: a stream of one event as long as it is asked for, or a short JSON reply.

`python -m jevons.proxy.bench.long_lines` says `listening PORT` and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import msgspec

PIECE_BYTES: Final = 64 * 1024
_JSON: Final = b'{"id":"x","choices":[{"index":0,"message":{"content":"yes"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}'
_BEGIN: Final = b'data: {"choices":[{"index":0,"delta":{"content":"'
_FILLING: Final = b"x, y and z; "
_END: Final = b'"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class _Asked(msgspec.Struct):
    """`max_tokens` is the length of the line, in bytes."""

    stream: bool = False
    max_tokens: int = 0


async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, request by request."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            asked = _Asked()
            if head.startswith(b"POST"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                asked = msgspec.json.decode(await reader.readexactly(length), type=_Asked)
            if asked.stream:
                await _send_line(writer, asked.max_tokens)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_JSON))
                writer.write(_JSON)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _send_line(writer: asyncio.StreamWriter, size: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    piece = _FILLING * (PIECE_BYTES // len(_FILLING))
    for part in (_BEGIN, *[piece] * (size // len(piece)), _END):
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def main() -> None:
    """Serve on a port that is free."""
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
