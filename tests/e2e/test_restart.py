"""Kill the real process and start it again: what the devices consumed in between is in an account, and nobody's bill."""

from __future__ import annotations

import re
import signal

import openai
import pytest
from jevons_process import CHAT_MODEL, final_record, get, until

from jevons.proxy.simulation.gpu import SimulatedGpu

SERIES = re.compile(r"^jevons_(\w+)_total\{(.*)\} (\S+)$", re.MULTILINE)


@pytest.fixture
def stack(processes, tmp_path):
    """A simulated server on a GPU of its own, and a proxy to start in front of it, again and again."""
    SimulatedGpu.create(tmp_path / "gpu").close()
    server = processes.start("simulate", "--gpu", tmp_path / "gpu", "--model", CHAT_MODEL)
    config = tmp_path / "config.yaml"
    config.write_text(
        f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nenergy: {{state_file: state.json}}\n"
        f"upstreams: [{{name: chat, url: '{server.main}/v1', model: {CHAT_MODEL}, devices: ['simulated:{tmp_path}/gpu']}}]\n"
    )
    return server, lambda: processes.start("serve", "--config", config)


def energies(process):
    """The device's total and its accounts, in joules, from one scrape."""
    found = {}
    for name, labels, value in SERIES.findall(get(f"{process.admin}/metrics")[1]):
        if name == "device_energy_joules":
            found["total"] = float(value)
        elif name == "energy_joules":
            found[re.search(r'account="(\w+)"', labels)[1]] = float(value)
    return found


def ask(url, model="chat"):
    """One answer, and its request id."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        messages = [{"role": "user", "content": "What is the capital of Peru?"}]
        reply = client.chat.completions.with_raw_response.create(model=model, messages=messages, max_tokens=200)
    return reply.headers["x-request-id"]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_consumed_while_the_proxy_was_down(stack, tmp_path, signal_number):
    """After SIGTERM and after kill -9: it is unresolved, no sum falls, and the next request pays for itself only."""
    _, start = stack
    process = start()
    final_record(process.main, ask(process.main))
    shown = energies(process)
    assert shown["attributed"] > 0.0
    process.stop(signal_number)
    assert (tmp_path / "state.json").exists()
    process = start()
    first = energies(process)
    assert all(first[name] >= joules for name, joules in shown.items())
    sums = until(lambda: (found := energies(process)).get("unresolved") and found)
    parts = [joules for account, joules in sums.items() if account != "total"]
    assert sums["total"] == pytest.approx(sum(parts), rel=1e-9)
    unresolved = sums["unresolved"]
    assert unresolved > 0.0
    record = final_record(process.main, ask(process.main))
    assert record["energy"]["joules"] < 2000.0
    assert energies(process)["unresolved"] == unresolved
    assert process.stop() == 0


def test_a_corrupt_state_file(stack, tmp_path):
    """It is said, and no reason not to start."""
    (tmp_path / "state.json").write_text("{half")
    _, start = stack
    process = start()
    until(lambda: energies(process).get("total"))
    assert energies(process)["unresolved"] == 0.0
    assert process.stop() == 0
    assert "state file not usable, starting anew" in {line["event"] for line in process.logs}


def test_clients_that_go_past_the_proxy(stack):
    """Their work has an account of its own, from the server's counters; requests beside them say so."""
    server, start = stack
    process = start()
    until(lambda: 'jevons_engine_metrics_up{upstream="chat"} 1.0' in get(f"{process.admin}/metrics")[1])
    for _ in range(3):
        ask(server.main, CHAT_MODEL)
    sums = until(lambda: (found := energies(process)).get("bypass") and found)
    assert sums["total"] == pytest.approx(sum(joules for account, joules in sums.items() if account != "total"), rel=1e-9)
    assert process.stop() == 0
    assert [line["where"] for line in process.logs if line["event"] == "traffic past jevons"] == ["chat"]
