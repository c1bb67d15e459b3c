"""The processes of the bench, and the configuration it writes."""

import sys

import aiohttp
import pytest

from jevons.proxy.bench.gpu.stack import Stack, _wait_until_it_answers, write_config
from jevons.proxy.bench.gpu.world import run_all
from jevons.proxy.calibration.streams import ChatClient, Stream
from jevons.proxy.config import to_upstreams
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Coefficients, Dialect, Upstream


def test_the_configuration_holds_the_upstream():
    """What is read back is the upstream, its energy model, devices and key included."""
    energy = Coefficients(3.0, 0.05, 3e-5, 0.02)
    upstream = Upstream(
        "bench", "http://127.0.0.1:1/v1", "m", dialect=Dialect.VLLM, devices=("GPU-1",), api_key="secret", coefficients=energy,
        doubts=(0.02, 0.03, 0.33, 0.021),
    )  # fmt: skip
    [back] = to_upstreams(parse_config(write_config(upstream)))
    assert back == upstream
    assert back.api_key == "secret"
    [plain] = to_upstreams(parse_config(write_config(Upstream("bench", "http://127.0.0.1:1/v1", "m"))))
    assert plain.coefficients is None


async def test_a_program_that_does_not_start():
    """One that ends without a word is an error that names it."""
    async with Stack() as stack:
        with pytest.raises(JevonsError, match="did not start"):
            await stack.start(sys.executable, "-c", "raise SystemExit(3)")


async def test_what_a_program_said_is_told_where_it_does_not_serve(tmp_path):
    """One that ends before it answers is an error with the end of its log."""
    async with Stack() as stack:
        with (tmp_path / "log").open("w+b") as log:
            process = await stack._spawn(sys.executable, "-c", "raise SystemExit('no such device')", log=log)
            with pytest.raises(JevonsError, match="no such device"):
                await _wait_until_it_answers(process, "http://127.0.0.1:9/health", log)


async def test_the_simulated_server_s_batch():
    """It decodes as many sequences at once as was asked for: of three the third begins when another has ended."""
    async with Stack() as stack, aiohttp.ClientSession() as session:
        chat = ChatClient(session, await stack.simulated(max_batch=2), Dialect.VLLM)
        streams = [Stream(10, 0.0) for _ in range(3)]
        await run_all(chat, streams, 30)
    first, last = min(stream.chunks[-1] for stream in streams), max(stream.chunks[0] for stream in streams)
    assert last >= first


async def test_a_program_ends_with_the_stack():
    """Its first line is given, and it is gone after the block."""
    async with Stack() as stack:
        line = await stack.start(sys.executable, "-c", "print('here', flush=True); input()")
        [process] = stack._processes
        assert (line, process.returncode) == ("here", None)
    assert process.returncode is not None
