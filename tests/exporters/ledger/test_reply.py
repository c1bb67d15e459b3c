"""The reply of `GET /v1/energy/{id}` from the ledger is the one from memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from ledger_world import RECORDS, Database, record
from store_cases import batch

from jevons.exporters.ledger.reply import find_reply
from jevons.proxy.records import record_json

pytest_plugins = ["ledger_fixture"]


def test_it_says_what_memory_would_say(database, opened):
    """Field for field and value for value, in both databases."""
    opened().write(batch(record()))
    assert find_reply(opened(is_reader=True), "req_1", "alice") == record_json(record())


@settings(max_examples=40)
@given(RECORDS)
def test_any_record_comes_back_as_it_was(any_record):
    """The same for any record at all."""
    with tempfile.TemporaryDirectory() as folder:
        store = Database(Path(folder) / "jevons.db").store()
        store.open()
        store.write(batch(any_record))
        found = find_reply(store, any_record.request_id, any_record.tenant)
        store.close()
    expected = record_json(any_record)
    if any_record.client_request_id is not None:
        expected["client_request_id"] = any_record.client_request_id.replace("\0", "\N{REPLACEMENT CHARACTER}")
    assert found == expected


def test_another_tenants_request_is_not_found(database, opened):
    """Nor is one that nobody made."""
    opened().write(batch(record()))
    assert find_reply(opened(is_reader=True), "req_1", "bob") is None
    assert find_reply(opened(is_reader=True), "req_2", "alice") is None
