"""`jevons bench route`: every chain is timed on every kind of prompt, and the table says so."""

import json

from click.testing import CliRunner

from jevons.proxy.bench.decisions import CHAINS, measure, render
from jevons.proxy.cli import main


def test_every_chain_and_kind_of_prompt():
    """Each with as many decisions as there are prompts and rounds."""
    timings = measure(rounds=1)
    assert [(one.chain, one.prompts) for one in timings] == [(name, kind) for name in CHAINS for kind in ("the demo's", "100 kB")]
    assert len({one.decisions for one in timings}) == 1
    assert all(0 < one.median_us <= one.p99_us for one in timings)
    assert render(timings).count("\n") == 1 + len(timings)


def test_the_command_prints_json():
    """For who wants to keep it."""
    found = json.loads(CliRunner().invoke(main, ["bench", "route", "--rounds", "1", "--json"]).output)
    assert {"chain", "prompts", "decisions", "median_us", "p99_us"} == set(found[0])
