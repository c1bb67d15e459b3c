"""Event streams in any pieces, by a coverage-guided fuzzer: nothing raises, and with nothing to strip every byte goes on.

`python tests/fuzz/fuzz_stream.py -runs=100000 [CORPUS]`; the first byte of an input says where it is cut, the rest is the stream.
"""

import sys

import atheris

with atheris.instrument_imports(include=["jevons.proxy.wire"]):
    from jevons.proxy.exchange import Endpoint
    from jevons.proxy.wire.stream import StreamEditor, UsageEvent

STREAMED = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES, Endpoint.MESSAGES)


def put_out(editor, blocks):
    """All that an editor gives out, its usage events as they came."""
    parts = [part for block in blocks for part in editor.feed(block)] + editor.flush()
    return b"".join(part.encode(None) if isinstance(part, UsageEvent) else part for part in parts)


def try_one(data):
    """One stream, whole and in two ways of cutting it."""
    if len(data) < 2:
        return
    step, stream = data[0] or 1, data[1:]
    for endpoint in STREAMED:
        whole = put_out(StreamEditor(endpoint, strips_usage=False, cap_bytes=512), [stream])
        pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
        cut = put_out(StreamEditor(endpoint, strips_usage=False, cap_bytes=512), pieces)
        if not whole == cut == stream:
            raise AssertionError((endpoint, step, stream, whole, cut))
        put_out(StreamEditor(endpoint, strips_usage=True, cap_bytes=512), pieces)


if __name__ == "__main__":
    atheris.Setup(sys.argv, try_one)
    atheris.Fuzz()
