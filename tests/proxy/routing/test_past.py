"""Reading the past: both shapes of a line, the ledger, and what is no request."""

import gzip
import json
import sqlite3

import pytest
from source_tree import ROOT

from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Tier
from jevons.proxy.routing.past import Past, read_past

NESTED = {
    "request_id": "r1",
    "started_at": "2026-11-23T12:00:00.000Z",
    "upstream": "thinker",
    "model": "m",
    "route": "rules:proofs;to=thinker",
    "reasons": [],
    "tokens": {"prompt": 12, "cached": None, "reasoning": 300, "completion": 400},
    "energy": {"joules": 250.0, "status": "final"},
    "outcome": "ok",
}
FLAT = {
    "request_id": "r0",
    "started_at": 1.0,
    "tenant": "alice",
    "upstream": "chat",
    "tier": "direct",
    "decision": "direct",
    "route": "default:direct;to=chat",
    "prompt_tokens": 5,
    "completion_tokens": 50,
    "joules": 10.0,
    "prompt": "Hello",
    "outcome": "ok",
}


def write(path, *rows):
    """A file of JSON lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def test_both_shapes_of_a_line(tmp_path):
    """What `GET /v1/energy/{id}` gives and what `jevons ledger export` writes, oldest first; what is missing is unknown."""
    flat, nested = read_past(write(tmp_path / "a.jsonl", NESTED, FLAT))
    assert flat == Past("r0", "alice", 1.0, "chat", Tier.DIRECT, "direct", "default:direct;to=chat", 5, 50, None, 10.0, "Hello")
    assert (nested.tenant, nested.tier, nested.prompt) == ("default", None, None)
    assert (nested.prompt_tokens, nested.completion_tokens, nested.reasoning_tokens, nested.joules) == (12, 400, 300, 250.0)
    assert (nested.policy, nested.word) == ("rules", "proofs")
    assert nested.started_at == 1795435200.0


def test_only_what_was_answered_counts(tmp_path):
    """Not what failed, nor what went nowhere, nor the other arm of a holdout."""
    rows = [{**FLAT, "outcome": "cancelled"}, {**FLAT, "upstream": None}, {**FLAT, "holdout_of": "r9"}, FLAT]
    assert len(read_past(write(tmp_path / "a.jsonl", *rows))) == 1


def test_compressed_lines(tmp_path):
    """As they are kept."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(FLAT).encode()))
    assert read_past(path)[0].request_id == "r0"


def test_a_ledger(tmp_path):
    """The table of requests, by the ledger's own statements."""
    path = tmp_path / "jevons.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((ROOT / "exporters/ledger/migrations/0001_ledger.sql").read_text())
        columns = [row[1:4] for row in connection.execute("PRAGMA table_info(requests)")]
        given = {**FLAT, "endpoint": "/v1/chat/completions", "status": "final", "quality": "[]", "reasons": "[]", "run_id": "x"}
        for request_id, holdout in (("r1", None), ("r2", "r1")):
            row = {**given, "request_id": request_id, "holdout_of": holdout}
            values = [row.get(name, (0 if kind != "TEXT" else "") if is_needed else None) for name, kind, is_needed in columns]
            connection.execute(f"INSERT INTO requests VALUES ({', '.join('?' * len(columns))})", values)  # noqa: S608 - placeholders only
    connection.close()
    (found,) = read_past(path)
    assert (found.request_id, found.tenant, found.joules, found.prompt) == ("r1", "alice", 10.0, "Hello")


@pytest.mark.parametrize(
    "line", ["{", "3", "[]", '{"upstream": "chat"}', '{"upstream": "a", "request_id": "r", "started_at": "noon"}']
)
def test_what_is_no_request_is_named_by_its_line(tmp_path, line):
    """So that it can be found."""
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(FLAT) + "\n" + line + "\n")
    with pytest.raises(JevonsError, match=r"a\.jsonl:2: not a request"):
        read_past(path)


def test_a_file_that_cannot_be_read(tmp_path):
    """Neither text nor a ledger, and a ledger that is none of ours."""
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JevonsError, match="a: "):
        read_past(path)
    with sqlite3.connect(tmp_path / "b") as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    with pytest.raises(JevonsError, match="no such table: requests"):
        read_past(tmp_path / "b")
