"""Client processes that are killed in mid-stream, before the real proxy and a real model server: kill -9 loses no joule."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from jevons_process import CHAT_MODEL, final_record, get, until

from jevons.proxy.simulation.gpu import SimulatedGpu

VICTIMS = SURVIVORS = 8
ENDLESS_TOKENS = 4000
"""Of an answer that is never waited for: at the simulated server's speed it takes a minute."""
SHORT_TOKENS = 120
CLIENT = """
import http.client, json, sys
_, address, tokens, number = sys.argv
body = {"model": "chat", "stream": True, "max_tokens": int(tokens), "min_tokens": int(tokens)}
body["messages"] = [{"role": "user", "content": f"Tell me of case {number}. " * (1 + 7 * int(number))}]
connection = http.client.HTTPConnection(address)
connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
reply = connection.getresponse()
print(reply.headers["x-request-id"], flush=True)
events = []
for line in reply:
    if line.startswith(b"data: "):
        events.append(line)
        if len(events) == 3:
            print("streaming", flush=True)
print("whole" if events[-1].strip() == b"data: [DONE]" else "cut", flush=True)
"""
SERIES = re.compile(r"^jevons_(\w+)_total\{(.*)\} (\S+)$", re.MULTILINE)


class Client:
    """A process of its own that reads one streamed answer."""

    def __init__(self, main: str, tokens: int, number: int) -> None:
        arguments = [sys.executable, "-I", "-c", CLIENT, urlsplit(main).netloc, str(tokens), str(number)]
        self.popen = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def says(self) -> str:
        """Its next line, waited for."""
        return self.popen.stdout.readline().strip()


@pytest.fixture
def stack(processes, tmp_path):
    """A simulated server on a GPU of its own, whose counters see nobody else, and the proxy in front of it."""
    SimulatedGpu.create(tmp_path / "gpu").close()
    server = processes.start("simulate", "--gpu", tmp_path / "gpu", "--model", CHAT_MODEL)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
        f"upstreams: [{{name: chat, url: '{server.main}/v1', model: {CHAT_MODEL}, devices: ['simulated:{tmp_path}/gpu']}}]\n"
    )
    return server, processes.start("serve", "--config", config)


@pytest.fixture
def clients(stack):
    """Those who will be killed, and those who go on, all of them in mid-stream; none outlives the test."""
    _, proxy = stack
    until(lambda: 'jevons_engine_metrics_up{upstream="chat"} 1.0' in get(f"{proxy.admin}/metrics")[1])
    victims = [Client(proxy.main, ENDLESS_TOKENS, number) for number in range(VICTIMS)]
    survivors = [Client(proxy.main, SHORT_TOKENS, VICTIMS + number) for number in range(SURVIVORS)]
    yield victims, survivors
    for client in (*victims, *survivors):
        client.popen.kill()
        client.popen.wait()
        client.popen.stdout.close()


def scrape(proxy):
    """The device's total, its accounts and the tokens of others from one scrape: that the parts sum up is checked each time."""
    found = {"others": 0.0}
    for name, labels, value in SERIES.findall(get(f"{proxy.admin}/metrics")[1]):
        if name == "device_energy_joules":
            found["total"] = float(value)
        elif name == "energy_joules":
            found[re.search(r'account="(\w+)"', labels)[1]] = float(value)
        elif name == "bypass_tokens":
            found["others"] += float(value)
    parts = sum(found.get(account, 0.0) for account in ("attributed", "idle", "bypass", "unresolved"))
    assert found.get("total", 0.0) == pytest.approx(parts, rel=1e-9, abs=1e-9)
    return found


def state(server):
    """What the simulated server says of itself."""
    return get(f"{server.main}/simulation/state")[1]


def test_kill_9_of_half_of_all_clients_in_mid_stream(stack, clients):
    """The server stops at once, every killed request has its joules, the accounts sum up, and nobody is suspected."""
    server, proxy = stack
    victims, survivors = clients
    ids = {client: client.says() for client in (*victims, *survivors)}
    assert {client.says() for client in ids} == {"streaming"}
    assert state(server)["running"] >= VICTIMS
    for client in victims:
        client.popen.send_signal(signal.SIGKILL)
    until(lambda: scrape(proxy) and len(state(server)["cancelled"]) == VICTIMS)
    assert state(server)["running"] <= SURVIVORS
    assert {client.says() for client in survivors} == {"whole"}
    records = {client: until(lambda client=client: scrape(proxy) and final_record(proxy.main, ids[client])) for client in ids}
    assert state(server)["running"] == 0

    for client in victims:
        record = records[client]
        assert (record["outcome"], [attempt["outcome"] for attempt in record["attempts"]]) == ("cancelled", ["cancelled"])
        assert 0 < record["tokens"]["completion"] < ENDLESS_TOKENS
        assert record["energy"]["joules"] > 0.0
        assert record["energy"]["low"] is not None
    for client in survivors:
        assert (records[client]["outcome"], records[client]["tokens"]["completion"]) == ("ok", SHORT_TOKENS)

    # While nobody is in flight bins settle when the server's counters are read: after two readings all late work has shown.
    idle = scrape(proxy)["idle"]
    for _ in range(2):
        idle = until(lambda before=idle: (now := scrape(proxy)["idle"]) > before and now)
    sums = scrape(proxy)
    joules = [record["energy"]["joules"] for record in records.values()]
    assert sum(joules) == pytest.approx(sums["attributed"], rel=1e-9)
    assert (sums["bypass"], sums["unresolved"], sums["others"]) == (0.0, 0.0, 0.0)
    assert not any("bypass" in record["energy"]["quality"] for record in records.values())
    assert proxy.stop() == 0
    assert [line for line in proxy.logs if line["event"] == "traffic past jevons"] == []
