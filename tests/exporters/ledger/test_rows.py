"""What of a record goes into which column."""

from __future__ import annotations

import pytest
from hypothesis import given
from ledger_world import RECORDS, UPSTREAM, record

from jevons.exporters.ledger.rows import AttemptRow, RequestRow, attempt_rows, request_row, session_hash
from jevons.exporters.ledger.statements import query
from jevons.proxy.exchange import Attempt, Energy, Outcome, Plan, Usage


def test_a_whole_record():
    """Times, tokens, energy, the route with its reasons, and the grid that its emissions are of."""
    row = request_row(record(session="mine", holdout_of="req_0"), "run-1")
    assert row._asdict() == {
        "request_id": "req_1",
        "run_id": "run-1",
        "tenant": "alice",
        "client_request_id": "mine",
        "session_hash": session_hash("alice", "mine"),
        "endpoint": "/v1/chat/completions",
        "started_at": 1_700_000_000.25,
        "hour": 472_222,
        "time_to_first_token_seconds": 0.2,
        "duration_seconds": 1.5,
        "stream": True,
        "sequences": 1,
        "upstream": "chat",
        "model": "model-8b",
        "tier": "direct",
        "decision": "direct",
        "route": "rules:proofs;to=chat",
        "reasons": '["caller:no match","rules:proofs;to=direct"]',
        "prompt_tokens": 10,
        "cached_tokens": 2,
        "reasoning_tokens": None,
        "completion_tokens": 20,
        "is_tokens_estimated": False,
        "joules": 12.5,
        "joules_low": 11.0,
        "joules_high": 14.0,
        "method": "simulated",
        "status": "final",
        "scope": "gpu",
        "quality": '["interpolated","bypass"]',
        "gco2e": 0.0013,
        "intensity_gco2e_per_kwh": 380.0,
        "intensity_source": "uk_carbon_intensity",
        "intensity_at": 1_700_000_000.0,
        "outcome": "ok",
        "holdout_of": "req_0",
        "prompt": None,
    }


def test_what_is_unknown_is_null():
    """A request that was rejected went nowhere and has cost nothing that is known: null, and not 0."""
    rejected = record(
        upstream=None, model=None, plan=Plan(), usage=Usage(), energy=Energy(), attempts=(), outcome=Outcome.REJECTED
    )
    row = request_row(rejected, "run-1")._asdict()
    unknown = "upstream model tier decision route prompt_tokens completion_tokens joules joules_low joules_high method gco2e"
    assert [row[name] for name in unknown.split()] == [None] * len(unknown.split())
    assert (row["reasons"], row["quality"], row["outcome"]) == ("[]", "[]", "rejected")
    assert attempt_rows(rejected) == []


def test_every_try_has_its_row():
    """In their order, each with its own energy; one that still goes on has no outcome."""
    tries = (
        Attempt("chat-2", Outcome.UPSTREAM_ERROR, Usage(), Energy(joules=1.0)),
        Attempt("chat", None, Usage(prompt=3), Energy()),
    )
    rows = attempt_rows(record(attempts=tries))
    assert [(row.place, row.upstream, row.outcome, row.joules, row.prompt_tokens) for row in rows] == [
        (0, "chat-2", "upstream_error", 1.0, None),
        (1, "chat", None, None, 3),
    ]


def test_the_prompt_is_there_only_where_it_was_kept():
    """The text is what the record holds of it; what no database takes is replaced."""
    assert request_row(record(), "run-1").prompt is None
    assert request_row(record(prompt="a\0b\ud800 é"), "run-1").prompt == "a\N{REPLACEMENT CHARACTER}b? é"


def test_a_session_is_known_by_its_mark():
    """The same session of the same tenant has the same mark; another's has not, and the name is not in it."""
    mark = session_hash("alice", "holiday plans")
    assert mark == session_hash("alice", "holiday plans")
    assert (
        len({mark, session_hash("bob", "holiday plans"), session_hash("alice", "other"), session_hash("alic", "eholiday plans")})
        == 4
    )
    assert session_hash("alice", None) is None


@pytest.mark.parametrize(("name", "row"), [("insert_request", RequestRow), ("insert_attempt", AttemptRow)])
def test_the_statement_names_the_columns_in_the_rows_order(name, row):
    """What is inserted stands where the row has it."""
    columns = query(name).split("(", 1)[1].split(")")[0].replace("\n", " ").split(",")
    assert tuple(column.strip() for column in columns) == row._fields
    assert query(name).count("?") == len(row._fields)


@given(RECORDS)
def test_any_record_becomes_rows(any_record):
    """Whatever a record holds, each value is one that a database takes."""
    for row in (request_row(any_record, "run-1"), *attempt_rows(any_record)):
        assert all(value is None or isinstance(value, str | int | float) for value in row)
    assert request_row(any_record, "run-1").upstream in {None, UPSTREAM.name}
