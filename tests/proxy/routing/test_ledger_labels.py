"""Labels from a ledger's holdout and feedback."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from jevons.proxy.errors import ConfigError, JevonsError
from jevons.proxy.routing.ledger_labels import read_ledger


def ledger(tmp_path, *, prompt: str | None = "Why?"):
    """A ledger of one request that the holdout asked again, both answers judged, and one that nobody judged."""
    path = tmp_path / "jevons.db"
    schema = files("jevons.exporters.ledger").joinpath("migrations/0001_ledger.sql").read_text()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema)
        known = {row[1]: row for row in connection.execute("PRAGMA table_info(requests)")}
        for number, (tier, holdout_of) in enumerate([("reasoning", None), ("direct", "r0"), ("direct", None)]):
            values = {"request_id": f"r{number}", "tier": tier, "holdout_of": holdout_of, "prompt": prompt}
            for name, (_, _, kind, is_required, default, _) in known.items():
                if is_required and default is None and name not in values:
                    values[name] = "x" if kind == "TEXT" else 0
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO requests ({', '.join(values)}) VALUES ({marks})", list(values.values()))  # noqa: S608
        connection.executemany("INSERT INTO feedback VALUES (?, 'default', ?, 0)", [("r0", 1.0), ("r1", 0.25)])
        connection.commit()
    return path


def test_a_request_that_was_judged_on_both_tiers_is_a_label(tmp_path):
    """Whichever tier answered first, the direct score is the direct answer's."""
    assert [(one.prompt, one.direct, one.reasoning) for one in read_ledger(ledger(tmp_path))] == [("Why?", 0.25, 1.0)]


def test_without_prompts_it_says_what_is_lacking(tmp_path):
    """A ledger that keeps no prompts cannot give labels, and the message says what that takes."""
    with pytest.raises(JevonsError, match=r"ledger\.prompts"):
        read_ledger(ledger(tmp_path, prompt=None))


def test_what_is_no_ledger_is_refused(tmp_path):
    """A file that is none, or not there, is named."""
    with pytest.raises(ConfigError, match="no such ledger"):
        read_ledger(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("no database at all, only words")
    with pytest.raises(ConfigError, match=r"text\.db"):
        read_ledger(tmp_path / "text.db")
