"""The proxy under the ledger's benchmark tells its metrics as they ended."""

from __future__ import annotations

import json
import signal
import sys

import pytest
from jevons_process import Processes

from jevons.proxy.simulation.gpu import SimulatedGpu


@pytest.fixture
def processes(tmp_path):
    """What starts them."""
    started = Processes(tmp_path)
    yield started
    started.close()


def test_the_last_line_is_the_page(processes, tmp_path):
    """A server, and a proxy in front of it: addresses first, and after SIGTERM the metrics, whose parts sum to the device."""
    gpu = tmp_path / "gpu"
    SimulatedGpu.create(gpu).close()
    command = (sys.executable, "-m", "jevons.proxy.bench.ledger_subject")
    server = processes.start("server", gpu, command=command)
    config = tmp_path / "config.yaml"
    config.write_text(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
        f"upstreams: [{{name: chat, url: '{server.line.strip()}/v1', model: simulated-8b, devices: ['simulated:{gpu}']}}]\n"
    )
    proxy = processes.start("proxy", config, command=command)
    assert json.loads(proxy.line).keys() == {"main", "admin"}
    proxy.popen.send_signal(signal.SIGTERM)
    last = json.loads(proxy.popen.stdout.readline())
    assert proxy.wait() == 0
    assert "jevons_ledger_dropped_total 0.0" in last["page"]
