"""Tests of the tracker for programs that use jevons; with the real proxy it runs in e2e/test_examples.py."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import pytest
from openai import AsyncOpenAI, OpenAI

from jevons.proxy.client import Consumption, EnergyTracker, energy_of


def record(joules, *, model="llama", status="final", outcome="ok", tokens=10):
    energy = {"joules": joules, "low": None, "high": None, "method": None, "status": status}
    if joules is not None:
        energy |= {"low": 0.9 * joules, "high": 1.1 * joules, "method": "measured"}
    return {"model": model, "outcome": outcome, "tokens": {"completion": tokens}, "energy": energy}


class Server:
    """Answers chats, and for each id the next of its records; over a socket, as every release of the client wants it."""

    def __init__(self, *records, headers=None):
        self.records = {f"id-{place}": list(states) for place, states in enumerate(records)}
        self.chats = iter(self.records)
        self.headers = {"x-jevons-version": "1"} if headers is None else headers

    def answer(self, path):
        """Status, headers and body."""
        if not path.startswith("/v1/energy/"):
            return 200, {**self.headers, "x-request-id": next(self.chats)}, {"choices": []}
        states = self.records[path.removeprefix("/v1/energy/")]
        state = states.pop(0) if len(states) > 1 else states[0]
        return (404, {}, {"error": {}}) if state is None else (200, {}, state)


@pytest.fixture
def serve():
    """Serve what a `Server` answers; gives the base URL."""
    started = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                status, headers, body = answers.answer(self.path)
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "content-type": "application/json", "content-length": len(content)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self):
                self.do_GET()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def client_of(serve):
    """A client of a `Server`."""
    clients = []

    def make(server):
        clients.append(OpenAI(base_url=serve(server), api_key="none", max_retries=0))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def chat(client):
    return client.chat.completions.create(model="auto", messages=[])


def test_totals_by_model_once_they_are_final(client_of):
    """What is in flight or provisional is asked for again."""
    server = Server(
        [record(None, status="provisional", outcome=None), record(9.0, status="provisional"), record(10.0)],
        [record(5.0, model="r1", tokens=None)],
    )
    client = client_of(server)
    with EnergyTracker(client) as energy:
        chat(client)
        chat(client)
    assert energy.total == Consumption(2, 0, 15.0, 13.5, 16.5, 10, is_final=True, methods=frozenset({"measured"}))
    assert {model: each.joules for model, each in energy.by_model.items()} == {"llama": 10.0, "r1": 5.0}


def test_unknown_is_counted_and_not_zero(client_of):
    """Energy that nobody knows, and a request that the proxy has forgotten."""
    client = client_of(Server([record(None)], [None], [record(4.0)]))
    with EnergyTracker(client) as energy:
        for _ in range(3):
            chat(client)
    assert (energy.total.requests, energy.total.unknown, energy.total.joules) == (3, 2, 4.0)
    assert energy.by_model["unknown"].unknown == 1


def test_what_does_not_become_final_says_so(client_of):
    """In the time that there is."""
    client = client_of(Server([record(4.0, status="provisional")]))
    with EnergyTracker(client, final_seconds=0.0) as energy:
        chat(client)
    assert energy.total.joules == 4.0
    assert not energy.total.is_final


def test_only_the_block_counts_and_only_jevons(client_of):
    """Requests outside it, and replies of servers that are not jevons, are nobody's."""
    client = client_of(Server([record(1.0)], [record(2.0)], [record(4.0)]))
    chat(client)
    with EnergyTracker(client) as energy:
        chat(client)
    chat(client)
    assert energy.total.joules == 2.0
    other = client_of(Server([record(1.0)], headers={}))
    with EnergyTracker(other) as energy:
        chat(other)
    assert energy.total == Consumption()


def test_an_error_in_the_block_passes_and_is_counted(client_of):
    """What was consumed until then was consumed."""
    client = client_of(Server([record(3.0)]))
    tracker = EnergyTracker(client)

    def fail():
        with tracker:
            chat(client)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert tracker.total.joules == 3.0


async def test_an_asynchronous_client(serve):
    """The same, awaited."""
    url = serve(Server([record(3.0, status="provisional"), record(3.5)], [None]))
    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        async with EnergyTracker(client) as energy:
            for _ in range(2):
                await client.chat.completions.create(model="auto", messages=[])
        assert (energy.total.joules, energy.total.unknown) == (3.5, 1)


def test_energy_of_what_a_client_returns():
    """A completion or a chunk has it in its usage, the last event of a response one level deeper; others have none."""
    energy = {"joules": 1.0}
    usage = SimpleNamespace(energy=energy)
    assert energy_of(SimpleNamespace(usage=usage)) == energy
    assert energy_of(SimpleNamespace(response=SimpleNamespace(usage=usage))) == energy
    assert energy_of(SimpleNamespace(usage=None)) is None
    assert energy_of(SimpleNamespace(usage=SimpleNamespace())) is None
