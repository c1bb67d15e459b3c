"""`transformers serve` on a model of random weights, on a processor; needs transformers."""

from dataclasses import replace

import aiohttp
import pytest

pytest.importorskip("transformers", reason="needs the extra [realserver]: `make test-real` installs it")

from jevons.proxy.bench.gpu.decoder import SHAPES
from jevons.proxy.bench.gpu.random_model import make_model, make_tokenizer
from jevons.proxy.bench.gpu.stack import Stack
from jevons.proxy.bench.gpu.world import World, run_all
from jevons.proxy.calibration.streams import ChatClient, Stream, write_prompt
from jevons.proxy.exchange import Coefficients, Dialect
from jevons.proxy.simulation.gpu import SimulatedGpu
from jevons.proxy.upstreams.detection import detect_dialect

pytestmark = [pytest.mark.realserver, pytest.mark.timeout(300)]


def test_every_token_is_text():
    """A prompt's words are a token each but for the one that makes it unlike any other; what a model may say is never empty."""
    tokenizer = make_tokenizer(512)
    assert len(tokenizer) == 512
    prompt = write_prompt(200)
    assert len(tokenizer(prompt)["input_ids"]) == 199 + 8
    assert all(tokenizer.decode([number]).strip() for number in range(512))


def test_the_model_has_the_shape_of_its_name():
    """As many weights as plain torch's of that name, but for the norms; the end of an answer has no score of its own."""
    shape = SHAPES["random-tiny"]
    model = make_model(shape, "cpu")
    norms = (2 * shape.layers + 1) * shape.hidden
    assert model.num_parameters() == shape.parameters + norms
    assert model.lm_head.weight[0].abs().sum() == 0


async def test_transformers_serves_it_behind_the_proxy(tmp_path):
    """Made here and served: answers have the lengths asked for, several at a time, and through the proxy they have joules."""
    with SimulatedGpu.create(tmp_path / "gpu"):
        async with Stack() as programs, aiohttp.ClientSession() as session:
            served = await programs.transformers("random-tiny", device="cpu")
            upstream = replace(served, devices=(f"simulated:{tmp_path}/gpu",), coefficients=Coefficients(3.0, 0.05, 3e-5, 0.02))
            assert await detect_dialect(session, upstream.base_url) is Dialect.TRANSFORMERS
            streams = [Stream(words, 0.0) for words in (24, 24, 1400)]
            await run_all(ChatClient(session, upstream, Dialect.TRANSFORMERS), streams, 40)
            assert [stream.completion_tokens for stream in streams] == [40] * 3
            assert all(len(stream.chunks) > 35 for stream in streams)
            main, admin = await programs.proxy(upstream)
            behind = replace(upstream, base_url=f"{main}/v1", model="bench")
            world = World(session, None, ChatClient(session, behind, Dialect.TRANSFORMERS), admin, None, None)
            stream = Stream(24, 0.0)
            await run_all(world.proxied, [stream], 40)
            assert await world.energy(stream) > 0.0
