"""From a section to a ledger."""

from __future__ import annotations

import socket
from pathlib import Path

from ledger_world import metering_state
from structlog.testing import capture_logs

from jevons.exporters.ledger.postgres_store import PostgresStore
from jevons.exporters.ledger.sqlite_store import SqliteStore
from jevons.proxy.config_ledger import PROMPTS_WARNING, LedgerSection
from jevons.proxy.ledger_factory import examine_ledger, make_ledger, make_store, place_of, render_ledger

pytest_plugins = ["ledger_fixture"]


def test_a_ledger_as_configured(tmp_path):
    """Its queue, its batches and its retention are those of the section; nothing is opened or made."""
    section = LedgerSection(path=tmp_path / "jevons.db", queue_size=7, batch_size=3, retention_days=1.5, flush_seconds=0.5)
    ledger = make_ledger(section, metering_state, "0.1.0")
    settings = ledger._settings
    assert (settings.queue_size, settings.batch_size, settings.retention_days, settings.flush_seconds) == (7, 3, 1.5, 0.5)
    assert not (tmp_path / "jevons.db").exists()


def test_keeping_prompts_is_warned_of(tmp_path):
    """A ledger that holds what people wrote says so when it is made; one that does not is silent."""
    for prompts, said in ((True, [PROMPTS_WARNING]), (False, [])):
        with capture_logs() as logs:
            make_ledger(LedgerSection(path=tmp_path / "jevons.db", prompts=prompts), metering_state, "0.1.0")
        assert [entry["event"] for entry in logs] == said


def test_a_place_is_a_file_or_a_url(tmp_path):
    """Whatever has no URL's beginning is a file."""
    url = "postgresql://jevons:s3cret@127.0.0.1/jevons"
    assert isinstance(make_store(url, is_reader=True), PostgresStore)
    assert isinstance(make_store("jevons.db", is_reader=True), SqliteStore)
    assert place_of(LedgerSection(url=url)) == url
    assert place_of(LedgerSection(path=tmp_path / "a.db")) == Path(tmp_path / "a.db")


def test_check_says_what_there_is(sqlite_database):
    """A ledger that is made at start, one that is there, one that is none, and that prompts are kept; nothing is written."""
    path = sqlite_database.place
    section = LedgerSection(path=path, prompts=True)
    assert render_ledger(examine_ledger(section)) == [f"ledger {path}: made at start", f"warning: {PROMPTS_WARNING}"]
    assert not path.exists()
    store = sqlite_database.store()
    store.open()
    store.close()
    assert render_ledger(examine_ledger(LedgerSection(path=path))) == [f"ledger {path}: there"]
    path.write_text("notes " * 1000)
    [line] = render_ledger(examine_ledger(LedgerSection(path=path)))
    assert line == f"ledger {path}: down: {path}: file is not a database"


def test_check_shows_no_password():
    """A server that does not answer is named without what opens it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    report = examine_ledger(LedgerSection(url=f"postgresql://jevons:s3cret@127.0.0.1:{port}/jevons"))
    assert report["place"] == f"postgresql://127.0.0.1:{port}/jevons"
    assert "Connection refused" in str(report["problem"])
    assert "s3cret" not in str(report)
