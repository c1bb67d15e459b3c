"""Thinking against short answers, before a server whose answers cost what the test says."""

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from jevons.proxy.bench.gpu.lengths import lengths
from jevons.proxy.bench.gpu.outcome import QUICK
from jevons.proxy.calibration.windows import Rates


@dataclass
class Client:
    """Answers at once, with as many tokens as were asked for; with more than so many at a time a token costs a tenth."""

    joules: dict[str, float] = field(default_factory=dict)
    at_once: int = 0

    async def ask(self, stream, output_tokens):
        """One answer; those that never end wait until they are cut off."""
        if output_tokens > 1000:
            self.at_once += 1
            await asyncio.Event().wait()
        stream.request_id = f"r{len(self.joules)}"
        stream.completion_tokens = output_tokens
        self.joules[stream.request_id] = output_tokens * (0.3 if self.at_once else 3.0)


class World:
    """Its counter shows `shown` of what was charged."""

    def __init__(self, shown):
        self.shown = shown
        self.proxied = Client()
        self.calibration = SimpleNamespace(rates=Rates(1.0, 1.0, 0.0))

    async def energies(self, streams):
        return [self.proxied.joules[stream.request_id] for stream in streams]

    async def counted(self, spans, _rest_seconds):
        return self.shown * sum(list(self.proxied.joules.values())[-len(spans) :])


@pytest.mark.parametrize(("shown", "is_passed"), [(1.0, True), (0.98, True), (0.9, False), (1.1, False)])
async def test_short_and_long_answers(shown, is_passed):
    """Each length has what one answer and one token cost, alone and in company; alone it is held against the counter."""
    scale = replace(QUICK, rest_seconds=0.0, stage_seconds=0.02, lengths=(16, 256), tokens_alone=128)
    outcome = await lengths(World(shown), scale)
    assert outcome.value == pytest.approx(abs(1.0 / shown - 1.0))
    assert outcome.is_passed is is_passed
    figures = outcome.figures
    assert figures["answers"] == [8, 1]
    assert figures["charged"] == pytest.approx([48.0, 768.0])
    assert figures["per_token"] == pytest.approx([3.0, 3.0])
    assert figures["beside"] == pytest.approx([4.8, 76.8])
    assert figures["beside_per_token"] == pytest.approx([0.3, 0.3])
