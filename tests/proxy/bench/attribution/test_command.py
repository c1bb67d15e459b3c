"""Tests of `jevons bench attribution`."""

import msgspec
import pytest
from attribution_world import workload
from click.testing import CliRunner

from jevons.proxy.bench import cli
from jevons.proxy.bench.attribution import command
from jevons.proxy.bench.attribution.cost import Cost, Memory


@pytest.fixture
def short_rows(monkeypatch):
    """Two rows of a few seconds."""
    rows = (workload("mixed", seconds=12.0), workload("short", seconds=12.0))
    monkeypatch.setattr(command, "WORKLOADS", rows)


@pytest.mark.usefixtures("short_rows")
def test_the_table_is_printed_and_written(tmp_path):
    """Markdown on the terminal; with --out the three files, whose page shows the plot."""
    done = CliRunner().invoke(cli.bench, ["attribution", "--quick", "--out", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    assert "# How near each request's joules come to the truth" in done.stdout
    assert "10 concurrent streams, short answers" in done.stdout
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == [
        "attribution.json",
        "attribution.md",
        "attribution.svg",
    ]
    assert "](attribution.svg)" in (tmp_path / "results" / "attribution.md").read_text()


@pytest.mark.usefixtures("short_rows")
def test_one_workload_as_json():
    """Only what was asked for, and the command that asks for it again."""
    done = CliRunner().invoke(cli.bench, ["attribution", "--quick", "--workload", "short", "--json"])
    assert done.exit_code == 0, done.output
    data = msgspec.json.decode(done.stdout)
    assert list(data["workloads"]) == ["short"]
    assert data["command"] == "jevons bench attribution --quick --workload short"


def test_a_workload_that_there_is_not():
    """Refused, with those that there are."""
    done = CliRunner().invoke(cli.bench, ["attribution", "--workload", "nothing"])
    assert done.exit_code == 2
    assert "'nothing' is none of mixed, listed" in done.output


@pytest.mark.parametrize(("options", "expected"), [([], "aim: at most 50"), (["--json"], '"microseconds"')])
def test_the_cost_is_printed(options, expected, monkeypatch):
    """For people or for programs; the quick run plays a part of a day."""
    played = []
    monkeypatch.setattr(command, "measure_cost", lambda: Cost(0.3, 2.0, 40.0))
    monkeypatch.setattr(command, "measure_memory", lambda seconds: played.append(seconds) or Memory(seconds, 10, 1, 1))
    done = CliRunner().invoke(cli.bench, ["attribution", "--cost", "--quick", *options])
    assert done.exit_code == 0, done.output
    assert expected in done.stdout
    assert played == [14400.0]
