"""Several worker processes on one address: one sum of joules, whichever worker is asked, and whatever becomes of one."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from jevons_process import CHAT_MODEL, get, post, until

from jevons.proxy.simulation.gpu import SimulatedGpu

SERIES = re.compile(r"^(jevons_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture
def stack(processes, tmp_path):
    """A simulated server on a GPU of its own, and the configuration of a proxy of two workers in front of it."""
    SimulatedGpu.create(tmp_path / "gpu").close()
    server = processes.start("simulate", "--gpu", tmp_path / "gpu", "--model", CHAT_MODEL)
    config = tmp_path / "config.yaml"
    config.write_text(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\nledger: {path: ledger.db, flush_seconds: 0.2}\n"
        "policies: [{type: budget, budgets: [{name: all, joules: 1e9, per: all}]}]\n"
        f"upstreams: [{{name: chat, url: '{server.main}/v1', model: {CHAT_MODEL}, devices: ['simulated:{tmp_path}/gpu']}}]\n"
    )
    return config


def ask(url, tokens=40, model="auto", *, stream=False):
    """One answer of so many tokens, on a connection of its own: status and request id."""
    messages = [{"role": "user", "content": "What is the capital of Peru?"}]
    body = {"model": model, "messages": messages, "max_tokens": tokens, "min_tokens": tokens, "stream": stream}
    with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        return reply.status, reply.headers["x-request-id"]


def sums(process):
    """Of one scrape: the device's total, its accounts, the joules of requests, and how many requests there were."""
    found = {"requests": 0.0}
    for name, labels, value in SERIES.findall(get(f"{process.admin}/metrics")[1]):
        if name == "jevons_energy_joules_total":
            found[re.search(r'account="(\w+)"', labels)[1]] = float(value)
        elif name == "jevons_device_energy_joules_total":
            found["total"] = float(value)
        elif name == "jevons_request_energy_joules_sum":
            found["charged"] = float(value)
        elif name == "jevons_requests_total":
            found["requests"] += float(value)
    return found


def children(process):
    """The worker processes."""
    return [int(pid) for pid in Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()]


def runs(pid):
    """Whether that process is there, and not only its name for whoever asks how it has ended."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_sums_over_workers(processes, stack):
    """Both workers serve, every request is charged, all together what the devices' account says; each knows of all."""
    process = processes.start("serve", "--config", stack)
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda _: ask(process.main), range(24)))
    assert {status for status, _ in asked} == {200}
    found = until(
        lambda: (
            (seen := sums(process))["requests"] == 24.0
            and seen.get("attributed") == pytest.approx(seen["charged"], rel=1e-9)
            and seen
        )
    )
    parts = found["attributed"] + found["idle"] + found["bypass"] + found["unresolved"]
    assert found["total"] == pytest.approx(parts, rel=1e-9)
    assert found["bypass"] == found["unresolved"] == 0.0
    records = [get(f"{process.main}/v1/energy/{request_id}") for _, request_id in asked]
    assert {status for status, _ in records} == {200}
    assert sum(record["energy"]["joules"] for _, record in records) == pytest.approx(found["charged"], rel=1e-9)
    scored = [post(f"{process.main}/v1/feedback", {"request_id": request_id, "score": 1})[0] for _, request_id in asked]
    assert set(scored) == {200}
    assert get(f"{process.main}/v1/energy/nobody")[0] == 404
    assert get(f"{process.admin}/healthz")[1]["workers"] == {"wanted": 2, "ready": 2, "restarts": 0}
    assert process.stop() == 0


def test_a_worker_that_is_killed(processes, stack):
    """What it had in flight is unresolved, the sums hold, the other goes on, and another takes its place."""
    process = processes.start("serve", "--config", stack)
    until(lambda: sums(process).get("total"))
    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(ask, process.main, 500, stream=True) for _ in range(8)]
        until(lambda: 'jevons_requests_in_flight{upstream="chat"} 8.0' in get(f"{process.admin}/metrics")[1])
        until(lambda: sums(process)["attributed"] > 50.0)
        victim = children(process)[0]
        os.kill(victim, signal.SIGKILL)
        ends = [one.exception() for one in pending]
    lost = [end for end in ends if end is not None]
    assert all(isinstance(end, (OSError, http.client.HTTPException)) for end in lost)
    until(lambda: get(f"{process.admin}/healthz")[1]["workers"] == {"wanted": 2, "ready": 2, "restarts": 1})
    assert victim not in children(process)
    assert len(children(process)) == 2
    assert {ask(process.main)[0] for _ in range(6)} == {200}
    found = until(lambda: (seen := sums(process)) and seen["charged"] > 0.0 and seen)
    assert found["total"] == pytest.approx(found["attributed"] + found["idle"] + found["bypass"] + found["unresolved"], rel=1e-9)
    assert found["charged"] <= found["attributed"] * (1 + 1e-9)
    assert (found["unresolved"] > 0.0) == bool(lost)
    assert 'jevons_requests_in_flight{upstream="chat"} 0.0' in get(f"{process.admin}/metrics")[1]
    assert process.stop() == 0


def test_a_reload_reaches_all(processes, stack):
    """A name that the configuration gained is served by every worker."""
    process = processes.start("serve", "--config", stack)
    text = stack.read_text()
    line = next(line for line in text.splitlines() if line.startswith("upstreams"))
    entry = line.removeprefix("upstreams: [").removesuffix("]")
    stack.write_text(text.replace(line, f"upstreams: [{entry}, {entry.replace('name: chat', 'name: second')}]"))
    process.popen.send_signal(signal.SIGHUP)
    until(lambda: "second" in json.dumps(get(f"{process.main}/v1/models")[1]))
    until(lambda: all("second" in json.dumps(get(f"{process.main}/v1/models")[1]) for _ in range(12)))
    assert {ask(process.main, model="second")[0] for _ in range(8)} == {200}
    assert process.stop() == 0


def test_an_address_that_is_taken(processes, stack):
    """A second proxy is refused the address, although workers share theirs."""
    first = processes.start("serve", "--config", stack)
    other = stack.with_name("other.yaml")
    port = first.main.rpartition(":")[2]
    other.write_text(stack.read_text().replace("listen: 127.0.0.1:0", f"listen: 127.0.0.1:{port}"))
    second = processes.start("serve", "--config", other, says=False)
    assert second.wait() == 1
    assert "cannot listen on" in second.errors
    assert first.stop() == 0


def test_the_owner_that_is_killed(processes, stack):
    """Workers without an owner end by themselves."""
    process = processes.start("serve", "--config", stack)
    workers = children(process)
    assert len(workers) == 2
    process.popen.kill()
    until(lambda: not any(map(runs, workers)))
