"""`jevons bench ledger` as it prints."""

from __future__ import annotations

import json

from jevons_process import run_jevons

from jevons.proxy.bench.ledger_cli import as_data, render
from jevons.proxy.bench.ledger_cost import LedgerRun, Sums, Turn

ACCOUNTS = {"attributed": 30.0, "idle": 70.0}
SUMS = Sums(100, 30.0, 30.0, ACCOUNTS, ACCOUNTS, 100.0, 0)
RUN = LedgerRun((Turn(False, 100, 1.0, 0.05, None), Turn(True, 100, 1.25, 0.06, SUMS)), 20.0)  # noqa: FBT003 - without, with


def test_side_by_side():
    """Throughput and CPU with and without, their ratio, and the three books."""
    lines = render(RUN).splitlines()
    assert lines[3].split() == ["requests", "per", "second", "100", "80", "0.800"]
    assert lines[4].split()[-3:] == ["500", "600", "1.200"]
    assert lines[5].split()[7:9] == ["20.0", "0.040"]
    assert "device 100.000000" in render(RUN)
    assert "simulated" in lines[0]


def test_json():
    """The same for programs."""
    data = json.loads(json.dumps(as_data(RUN)))
    assert data["throughput_ratio"] == 0.8
    assert data["is_exact"]
    assert data["turns"][1]["sums"]["requests"] == 100


def test_it_is_a_verb():
    """`jevons bench ledger` says what it does."""
    done = run_jevons("bench", "ledger", "--help")
    assert done.returncode == 0
    assert "what the ledger costs" in done.stdout
