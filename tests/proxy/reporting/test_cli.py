"""`jevons report` and `jevons ledger export` as one types them."""

from __future__ import annotations

import json

import pytest
from jevons_process import run_jevons
from ledger_content import day, fill

pytest_plugins = ["ledger_fixture"]
SPAN = ("--since", "2026-11-22T12:00", "--until", "2026-11-23T12:00")


@pytest.fixture
def ledger(sqlite_database):
    """A ledger with a day in it."""
    fill(sqlite_database, day())
    return str(sqlite_database.place)


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ((), "5 requests · 330 J"),
        (("--format", "csv", "--by", "tenant"), "tenant,requests,"),
        (("--format", "html"), "<!doctype html>"),
        (("--json",), '{\n  "since": '),
    ],
)
def test_every_format(ledger, options, begins):
    """On standard output, and nothing on the other."""
    done = run_jevons("report", "--ledger", ledger, *SPAN, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begins)
    assert done.stderr == ""


def test_the_price_and_a_file(ledger, tmp_path):
    """A price gives a cost; `--out` writes the file and says so."""
    path = tmp_path / "report.json"
    done = run_jevons("report", "--ledger", ledger, *SPAN, "--json", "--price-per-kwh", "36", "--out", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"written to {path}" in done.stderr
    assert json.loads(path.read_text())["total"]["cost"] == pytest.approx(330 / 3.6e6 * 36)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--by", "colour"), 2, "'colour' is none of upstream, tenant, route"),
        (("--since", "yesterday"), 1, "'yesterday' is no time"),
        (("--ledger", "nowhere.db"), 1, "nowhere.db: no such file"),
        (("--format", "pdf"), 2, "'pdf' is not one of"),
    ],
)
def test_what_is_wrong_is_said(ledger, options, code, words):
    """In a line, with the exit code of its kind."""
    done = run_jevons("report", "--ledger", ledger, *options)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_ledger(tmp_path):
    """It says how to name one."""
    done = run_jevons("report")
    assert done.returncode == 1
    assert "--ledger FILE" in done.stderr


def test_export(ledger, tmp_path):
    """JSONL into a pipe, Parquet into a file; how many rows goes to standard error."""
    done = run_jevons("ledger", "export", "--ledger", ledger, *SPAN)
    assert [json.loads(line)["request_id"] for line in done.stdout.splitlines()] == ["r1", "r2", "r3", "r4", "r5"]
    assert "5 rows" in done.stderr
    path = tmp_path / "a.parquet"
    done = run_jevons("ledger", "export", "--ledger", ledger, *SPAN, "--table", "attempts", "--format", "parquet", "--out", path)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes().startswith(b"PAR1")
