"""The real process takes another configuration while it serves: by itself when the file changes, and on SIGHUP."""

from __future__ import annotations

import signal

import pytest
from jevons_process import CHAT_MODEL, get, post, until

from jevons.proxy.simulation.gpu import SimulatedGpu


@pytest.fixture
def config(processes, tmp_path):
    """A configuration for a simulated server on a GPU of its own; and how to write another."""
    SimulatedGpu.create(tmp_path / "gpu").close()
    server = processes.start("simulate", "--gpu", tmp_path / "gpu", "--model", CHAT_MODEL)
    path = tmp_path / "etc" / "config.yaml"
    path.parent.mkdir()

    def write(more):
        path.write_text(
            f"listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
            f"upstreams: [{{name: chat, url: '{server.main}/v1', model: {CHAT_MODEL}, devices: ['simulated:{tmp_path}/gpu']}}]\n"
            f"{more}\n"
        )

    write("")
    return path, write


RULES = "policies: [{type: rules, rules: [{name: all, when: {prompt_tokens: {min: 0}}, to: chat}]}]"


def state(process):
    """What `/healthz` says of the configuration."""
    return get(f"{process.admin}/healthz")[1]["config"]


def test_a_change_an_error_and_a_hangup(processes, config):
    """A change is taken over; an error is told and changes nothing; SIGHUP reads the file whether it changed or not."""
    path, write = config
    process = processes.start("serve", "--config", path)
    before = state(process)
    assert before["error"] is None
    write(RULES)
    until(lambda: state(process)["hash"] != before["hash"])
    taken = state(process)

    write("polices: []")
    error = until(lambda: state(process)["error"])
    assert error.endswith("config.yaml:4:1: polices: unknown key, did you mean policies?")
    assert state(process)["hash"] == taken["hash"]
    status, _ = post(f"{process.main}/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]})
    assert status == 200

    write(RULES)
    until(lambda: state(process)["error"] is None)
    loaded = state(process)["loaded_at"]
    process.popen.send_signal(signal.SIGHUP)
    until(lambda: state(process)["loaded_at"] != loaded)
    page = get(f"{process.admin}/metrics")[1]
    assert 'jevons_config_reload_total{outcome="ok"} 3.0' in page
    assert 'jevons_config_reload_total{outcome="failed"} 1.0' in page
    events = [row["event"] for row in process.logs if "configuration" in row["event"]]
    assert events == [
        "configuration reloaded",
        "configuration not reloaded; the old one stays",
        "configuration reloaded",
        "configuration reloaded",
    ]
    assert process.stop() == 0
