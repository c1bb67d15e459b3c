"""The tables as files, with nothing lost on the way."""

from __future__ import annotations

import json

import pyarrow.parquet
import pytest
from ledger_content import HOUR, NOW, day, fill

from jevons.proxy.errors import JevonsError
from jevons.proxy.reporting.export import TABLES, export_table
from jevons.proxy.reporting.period import Period

pytest_plugins = ["ledger_fixture"]
DAY = Period(NOW - 24 * HOUR, NOW)


@pytest.fixture
def store(database):
    """A ledger with a day in it, of either kind."""
    fill(database, day())
    reader = database.store(is_reader=True)
    reader.open()
    yield reader
    reader.close()


def read_jsonl(path):
    """Its rows."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_jsonl_has_a_line_per_request(store, tmp_path):
    """In the order of time, with true and false, lists, and null for what is unknown."""
    path = tmp_path / "requests.jsonl"
    assert export_table(store, "requests", DAY, "jsonl", path) == 5
    rows = read_jsonl(path)
    assert [row["request_id"] for row in rows] == ["r1", "r2", "r3", "r4", "r5"]
    assert rows[0]["stream"] is True
    assert rows[0]["quality"] == ["interpolated", "bypass"]
    assert rows[3]["joules"] is None
    assert list(rows[0]) == list(TABLES["requests"]._fields)


@pytest.mark.parametrize("table", TABLES)
def test_parquet_says_the_same(store, tmp_path, table):
    """Every table has the same rows and columns in both formats, with types."""
    period = Period(NOW - 48 * HOUR, NOW + HOUR)
    lines, file = tmp_path / "rows.jsonl", tmp_path / "rows.parquet"
    count = export_table(store, table, period, "jsonl", lines)
    assert export_table(store, table, period, "parquet", file) == count
    found = pyarrow.parquet.read_table(file)
    assert found.to_pylist() == read_jsonl(lines)
    assert found.column_names == list(TABLES[table]._fields)


def test_types_of_columns(store, tmp_path):
    """Counts are whole numbers, joules are not, lists are lists; also where a column is all null."""
    file = tmp_path / "requests.parquet"
    export_table(store, "requests", DAY, "parquet", file)
    schema = {field.name: str(field.type) for field in pyarrow.parquet.read_schema(file)}
    assert {name: schema[name] for name in ("prompt_tokens", "joules", "stream", "prompt", "started_at")} == {
        "prompt_tokens": "int64",
        "joules": "double",
        "stream": "bool",
        "prompt": "string",
        "started_at": "double",
    }
    assert schema["reasons"].startswith("list<")


def test_standard_output(store, capfdbinary):
    """Without a file JSONL goes to standard output, for a pipe; Parquet needs a file."""
    assert export_table(store, "feedback", DAY, "jsonl", None) == 0
    assert export_table(store, "requests", DAY, "jsonl", None) == 5
    assert len(capfdbinary.readouterr().out.splitlines()) == 5
    with pytest.raises(JevonsError, match="--out FILE"):
        export_table(store, "requests", DAY, "parquet", None)
