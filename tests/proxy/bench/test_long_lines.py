"""The model server with the endless line, on a real socket."""

import asyncio
import json

import msgspec

from jevons.proxy.bench.long_lines import serve_one


async def ask(port, *requests):
    """All that comes back, the connection being closed by us in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
    writer.write_eof()
    data = await reader.read(-1)
    writer.close()
    return data


def post(**body):
    """A chat completion."""
    data = msgspec.json.encode(body)
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data


async def test_what_it_answers():
    """A line of the length that was asked for, in sound JSON; short JSON otherwise; one request behind another."""
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    data = await ask(port, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", post(stream=True, max_tokens=300_000), post(max_tokens=1))
    server.close()
    health, stream, whole = data.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert json.loads(health.split(b"\r\n\r\n")[1])["usage"]
    assert json.loads(whole.split(b"\r\n\r\n")[1])["usage"]
    parts = stream.partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2]
    event, done, _ = b"".join(parts).split(b"\n\n")
    assert abs(len(event) - 300_000) < 70_000
    assert json.loads(event.removeprefix(b"data: "))["choices"][0]["finish_reason"] == "stop"
    assert done == b"data: [DONE]"
