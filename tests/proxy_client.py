"""What tests need to talk to a whole proxy, and to stand behind it; the fixtures that start both are in `proxy_fixture`."""

import asyncio
import io
import json
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from jevons.proxy.app import App
from jevons.proxy.scraping import FRESH

MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
BODIES = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "Why is the sky blue?"},
    "/v1/responses": {"input": "Why is the sky blue?"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 5000},
}
"""The least that each generating endpoint takes; the model is filled in."""
CHAT = "/v1/chat/completions"


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Reply:
    """One whole reply, streamed or not."""

    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self):
        """The error in it, which must be in OpenAI's shape and come with a request id."""
        assert self.headers["x-request-id"].startswith("req_")
        error = self.json["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        return error

    @property
    def id(self):
        """The request's id."""
        return self.headers["x-request-id"]


@dataclass
class Proxy:
    """The whole proxy in this process, and a client's view of it."""

    app: App
    url: str
    admin: str
    session: aiohttp.ClientSession

    async def request(self, method, path, **options):
        """One request, its reply read to the end."""
        async with self.session.request(method, self.url + path, **options) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.read())

    async def post(self, path, body, headers=None):
        """One POST; a body that is no bytes is sent as JSON, with `model: auto` where it names none."""
        data = body if isinstance(body, bytes) else json.dumps({"model": "auto", **body}).encode()
        data = io.BytesIO(data) if len(data) > 2**20 else data
        return await self.request("POST", path, data=data, headers={"content-type": "application/json", **(headers or {})})

    async def get(self, path, **options):
        """One GET."""
        return await self.request("GET", path, **options)

    async def ready(self):
        """Return once every upstream has been asked whether it is there: then that is not asked again for seconds."""
        while True:
            async with self.session.get(f"{self.admin}/readyz") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.005)

    async def energy(self, request_id, **options):
        """What is known of a request now."""
        reply = await self.get(f"/v1/energy/{request_id}", **options)
        assert reply.status == 200
        return reply.json

    async def settled(self, request_id):
        """What is known of a request once its energy is final."""
        for _ in range(500):
            record = await self.energy(request_id)
            if record["outcome"] is not None and record["energy"]["status"] == "final":
                return record
            await asyncio.sleep(0.02)
        raise AssertionError(f"never final: {record}")

    def find(self, client_request_id):
        """Our id of the request that its client called so."""
        records = self.app.records._records.values()
        (found,) = (record.request_id for record in records if record.client_request_id == client_request_id)
        return found

    async def metrics(self):
        """Every sample of a scrape: {name: {label values: value}}, the label values in the order of their names."""
        async with self.session.get(f"{self.admin}/metrics", headers=FRESH) as response:
            text = await response.text()
        samples = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
        return samples

    def is_serving(self):
        """Whether any upstream is at work for somebody: the gauge, without asking for it."""
        return any(amount.value for amount in self.app.exporter._in_flight.values())

    async def in_flight(self):
        """The gauge, over all upstreams."""
        return sum((await self.metrics())["jevons_requests_in_flight"].values())

    def balance(self):
        """All accounts and what is still open, less the counter: the same at every moment, or energy was lost or made."""
        (ledger,) = self.app.metering.attribution.devices.values()
        return sum(ledger.accounts.values()) + ledger.counter.open_joules() - ledger.counter.raw_joules

    def dial(self):
        """A connection of our own, byte by byte: `async with proxy.dial() as client`."""
        return dial(self.url)

    def dial_admin(self):
        """The same to the admin listener."""
        return dial(self.admin)


@dataclass
class RawClient:
    """One TCP connection to a server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def post(self, path, body, headers=None, *, length=None):
        """Send a POST with a body, which may be shorter than its declared `length`."""
        data = body if isinstance(body, bytes) else json.dumps({"model": "auto", **body}).encode()
        fields = {"host": "test", "content-type": "application/json", "content-length": length or len(data), **(headers or {})}
        await self.head(f"POST {path}", fields, data)

    async def head(self, start, fields, data=b""):
        """Send a request line and headers, and perhaps some of the body."""
        lines = [f"{start} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)
        await self.writer.drain()

    async def reply_head(self):
        """The status and the headers of a reply."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), {name.lower(): value for name, value in headers.items()}

    async def reply(self):
        """A whole reply with a content-length."""
        status, headers = await self.reply_head()
        return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])))

    def hang_up(self):
        """Close in good order."""
        self.writer.close()

    def reset(self):
        """Close with a RST."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def dial(url):
    """A connection, closed in the end."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def running(app):
    """Its addresses, while it runs."""
    ready = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(app.run(asyncio.Event(), ready.set_result))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield await ready
    finally:
        task.cancel()  # a stop in good order would wait for the energy of the last requests
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
