"""The page of a memory run: the load, the growth with its interval, the idle streams, and few rows."""

from datetime import UTC, datetime

from jevons.proxy.bench.machine import Machine
from jevons.proxy.bench.memory import Checkpoint, Memory
from jevons.proxy.bench.memory_page import MOST_ROWS, page

MACHINE = Machine("Some CPU", 4, "Linux 6.1", "Debian 12", "3.11.7")
MIB = 2**20


def memory_of(*sizes):
    """A look every thousand requests, ten seconds each."""
    checkpoints = tuple(Checkpoint(1000 * place, 10.0 * place, size) for place, size in enumerate(sizes))
    return Memory(datetime(2026, 1, 2, tzinfo=UTC), MACHINE, checkpoints, 70_000, 20_000, 9_000, 0, 500, 50 * MIB, 60 * MIB)


def test_a_long_run_is_shown_in_a_few_rows():
    """From the first to the last, the growth by requests and by time."""
    text = page(memory_of(*(50 * MIB + place * MIB // 10 for place in range(100))), "jevons bench memory --requests 99000")
    rows = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(rows) == MOST_ROWS
    assert (rows[0], rows[-1]) == ("| 0 | 0 | 50.0 |", "| 99,000 | 990 | 59.9 |")
    assert "+100.00 MiB per million requests (+100.00 to +100.00)" in text
    assert "+36.00 MiB an hour" in text
    assert "70,000 JSON replies, 20,000 streams read to their end, 9,000 streams that the client left" in text
    assert "**500 idle streams**" in text
    assert "50.0 -> 60.0 MiB, **21.0 kB each**" in text
    assert "the GPU is **simulated**" in text


def test_a_short_run_has_no_slope():
    """And says so."""
    text = page(memory_of(MIB, 2 * MIB), "jevons bench memory")
    assert text.count("too few looks for a slope") == 2
    assert "| 1,000 | 10 | 2.0 |" in text
