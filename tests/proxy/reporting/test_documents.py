"""Reports for programs."""

from __future__ import annotations

import csv
import io
import json

import pytest
from ledger_content import HOUR, NOW, day, fill
from ledger_world import record

from jevons.proxy.reporting.documents import report_csv, report_document
from jevons.proxy.reporting.period import Period
from jevons.proxy.reporting.report import make_report
from jevons.proxy.reporting.sums import Tariff

pytest_plugins = ["ledger_fixture"]


@pytest.fixture
def report(sqlite_database):
    """One by tenant and upstream."""
    fill(sqlite_database, [*day(), record("bad", tenant="=HYPERLINK(1)", started_at=NOW - 60)])
    store = sqlite_database.store(is_reader=True)
    store.open()
    yield make_report(store, Period(NOW - 24 * HOUR, NOW), ("tenant", "upstream"), Tariff(0.3))
    store.close()


def test_json_has_everything(report):
    """It goes through JSON unchanged; what is unknown is null."""
    document = report_document(report)
    assert json.loads(json.dumps(document)) == document
    assert document["total"]["joules"] == pytest.approx(342.5)
    assert document["total"]["cost"] == pytest.approx(342.5 / 3.6e6 * 0.3)
    assert document["savings"]["joules"] is None
    assert document["savings"]["why"]
    unknown = next(group for group in document["groups"] if group["upstream"] == "(none)")
    assert (unknown["joules"], unknown["cost"], unknown["requests"]) == (None, None, 1)
    assert document["carbon"][0]["source"] == "uk_carbon_intensity"
    assert {row["account"] for row in document["accounts"]} == {"attributed", "idle"}


def test_csv_has_a_line_per_group(report):
    """With a header; what is unknown is empty, and no name can be a formula."""
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert len(rows) == len(report.groups)
    assert rows[0]["joules"] == "300.0"
    assert next(row for row in rows if row["upstream"] == "(none)")["joules"] == ""
    assert [row["tenant"] for row in rows if "HYPER" in row["tenant"]] == ["'=HYPERLINK(1)"]
