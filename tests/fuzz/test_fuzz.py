"""The fuzzers, for so many runs as a test has time for, from the samples that the other tests use."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

RUNS = 4_000
SEED = 7
STREAMS = [
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[],"usage":{"completion_tokens":3}}\n\ndata: [DONE]\n\n',
    b': ka\n\ndata: {"choices":[{"delta":{"reasoning":"a"},"finish_reason":"stop"}]}\r\n\r\n',
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"x","usage":{"output_tokens":3}}}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":3}}\n\nevent: message_stop\ndata: {}\n\n',
    b'data: {"error":{"message":"no"}}\n\n',
]
BODIES = [
    b'{"model":"auto","messages":[{"role":"user","content":"hi"}],"stream":true,"n":2,"max_tokens":5}',
    b'{"model":"a","prompt":["x","y"],"stream_options":{"include_usage":true}}',
    b'{"model":"a","input":[{"role":"user","content":[{"type":"input_text","text":"x"}]}],"previous_response_id":"r"}',
    (
        b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nauto\r\n'
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    ),
]

pytestmark = pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("fuzzer", "samples"), [("fuzz_stream.py", STREAMS), ("fuzz_request.py", BODIES)])
def test_nothing_breaks_it(fuzzer, samples, tmp_path):
    """So many inputs, grown from the samples towards code that none has reached yet."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for place, sample in enumerate(samples):
        for first in range(8):
            (corpus / f"{place}-{first}").write_bytes(bytes([first]) + sample)
    command = [sys.executable, Path(__file__).with_name(fuzzer), f"-runs={RUNS}", f"-seed={SEED}", "-max_len=600", corpus]
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr
