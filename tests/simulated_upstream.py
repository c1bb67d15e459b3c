"""What tests need to talk to a simulated model server; the fixtures that start one are in `simulation_fixture`."""

import asyncio
import json
from dataclasses import dataclass

import aiohttp
import pytest

from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.server import SimulatedServer

MODEL = "simulated-8b"
FAST = LLAMA_3_1_8B.faster(20)
"""Twenty times as fast as an H100, at the same power."""


@dataclass
class Upstream:
    """One simulated server that runs, and a client's view of it."""

    server: SimulatedServer
    url: str
    session: aiohttp.ClientSession

    async def post(self, path, body, **options):
        """Status, headers and JSON of one request; the model is filled in."""
        async with self.session.post(self.url + path, json={"model": MODEL, **body}, **options) as response:
            return response.status, response.headers, json.loads(await response.read())

    async def get(self, path):
        """Status and JSON."""
        async with self.session.get(self.url + path) as response:
            return response.status, json.loads(await response.read())

    async def stream(self, path, body, **options):
        """The events of one stream: (name, data) pairs, data parsed unless it is `[DONE]`."""
        async with self.session.post(self.url + path, json={"model": MODEL, "stream": True, **body}, **options) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            return parse_events(await response.read())


def parse_events(raw):
    """(name, data) of each event of a stream."""
    events = []
    for block in raw.decode().replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            data = fields["data"]
            events.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return events


def chat(text="Hello there", **fields):
    """The body of a chat with one turn."""
    return {"messages": [{"role": "user", "content": text}], **fields}


async def until(condition):
    """Give the servers' loop time until something is so."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    pytest.fail("it never came true")
