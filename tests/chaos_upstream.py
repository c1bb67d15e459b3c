"""A model server with one fault: everything that goes wrong behind a proxy, byte by byte, for tests.

`script(fault)` is for a `ScriptedUpstream`; it answers a stream where one is asked for, and a whole reply else. GET is answered
well: what is broken is inference, which the cheap questions do not find out.
"""

import asyncio
import json
import socket
import struct
from enum import StrEnum

from scripted_upstream import chunk, http_reply, stream_head

TOKEN = (
    b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
)
STOP = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
WRONG = b'{"prompt_tokens":-7,"completion_tokens":"many","total_tokens":1e999,"completion_tokens_details":[]}'
CHOICE = b'{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}'
WHOLE = b'{"id":"c","object":"chat.completion","choices":[' + CHOICE + b"]%b}"
SORRY = {"error": {"message": "sorry", "type": "server_error", "param": None, "code": None}}
LONG_BYTES = 10 * 2**20
GARBAGE = b"\x00\xff\xfe{]}\r\r\n: \xf0\x28\x8c\x28\ndata\ndata:{{{\nevent:\xc3\nid: \x80\n\n"


class Fault(StrEnum):
    """What is wrong with it."""

    HANGS_BEFORE_HEADERS = "hangs before headers"
    HANGS_BEFORE_FIRST_BYTE = "hangs before the first byte"
    HANGS_IN_THE_MIDDLE = "hangs in the middle"
    RESETS_BEFORE_HEADERS = "resets before headers"
    RESETS_IN_THE_MIDDLE = "resets in the middle"
    CLOSES_BEFORE_HEADERS = "closes before headers"
    TRUNCATES_CHUNKS = "truncates its chunks"
    NO_HTTP = "speaks no HTTP"
    BUSY_429 = "429 with Retry-After"
    BUSY_503 = "503 with Retry-After"
    FAILS_500 = "500"
    GARBAGE = "garbage instead of events"
    LONG_LINE = "a line of 10 MB"
    WRONG_USAGE = "wrong usage"
    NO_DONE = "no [DONE]"
    NO_END = "a clean end without a finish"


def reset(call):
    """Close with a RST."""
    call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.writer.transport.abort()


def is_streamed(call):
    """Whether a stream is asked for; a form never asks here."""
    return call.headers["content-type"].startswith("application/json") and call.json.get("stream") is True


async def begin(call, *blocks):
    """The head of a reply that has no end yet, and these blocks of its body."""
    if is_streamed(call):
        await call.send(stream_head(), *map(chunk, blocks))
    else:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        await call.send(head, *(chunk(b'{"id":') for _ in blocks))


async def answer(call, *events, whole):
    """A reply with its end."""
    if is_streamed(call):
        await call.send(stream_head(), *map(chunk, events), chunk(b""))
    else:
        await call.send(http_reply(whole))


async def _hang(call, fault):
    if fault is not Fault.HANGS_BEFORE_HEADERS:
        await begin(call, *([TOKEN] if fault is Fault.HANGS_IN_THE_MIDDLE else []))
    await call.forever()


async def _break_off(call, fault):
    if fault in {Fault.RESETS_IN_THE_MIDDLE, Fault.TRUNCATES_CHUNKS}:
        await begin(call, TOKEN)
        await asyncio.sleep(0.05)  # what has not been read when a connection is reset is lost
    if fault in {Fault.RESETS_IN_THE_MIDDLE, Fault.RESETS_BEFORE_HEADERS}:
        reset(call)
    else:
        call.writer.close()


async def _refuse(call, fault):
    status = int(str(fault)[:3])
    headers = "" if fault is Fault.FAILS_500 else "retry-after: 7\r\n"
    await call.send(http_reply(json.dumps(SORRY).encode(), status, headers=headers))


async def _speak_no_http(call, _):
    await call.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def _answer_oddly(call, fault):
    long = TOKEN.replace(b'"a"', b'"' + b"a" * LONG_BYTES + b'"')
    usage = STOP.replace(b"}]}", b'}],"usage":' + WRONG + b"}")
    events = {
        Fault.GARBAGE: [GARBAGE] * 3,
        Fault.LONG_LINE: [long, STOP, DONE],
        Fault.WRONG_USAGE: [TOKEN, usage, DONE],
        Fault.NO_DONE: [TOKEN, STOP],
        Fault.NO_END: [TOKEN],
    }[fault]
    wholes = {
        Fault.GARBAGE: GARBAGE,
        Fault.LONG_LINE: (WHOLE % b"").replace(b'"a"', b'"' + b"a" * LONG_BYTES + b'"'),
        Fault.WRONG_USAGE: WHOLE % (b',"usage":' + WRONG),
    }
    await answer(call, *events, whole=wholes.get(fault, WHOLE % b""))


def script(fault):
    """What a `ScriptedUpstream` with this fault does."""
    if fault in {Fault.HANGS_BEFORE_HEADERS, Fault.HANGS_BEFORE_FIRST_BYTE, Fault.HANGS_IN_THE_MIDDLE}:
        does = _hang
    elif fault in {Fault.BUSY_429, Fault.BUSY_503, Fault.FAILS_500}:
        does = _refuse
    elif fault is Fault.NO_HTTP:
        does = _speak_no_http
    elif fault in {Fault.GARBAGE, Fault.LONG_LINE, Fault.WRONG_USAGE, Fault.NO_DONE, Fault.NO_END}:
        does = _answer_oddly
    else:
        does = _break_off

    async def run(call):
        await does(call, fault)

    return run
