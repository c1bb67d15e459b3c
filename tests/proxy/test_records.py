from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jevons.proxy.errors import BadRequest
from jevons.proxy.exchange import (
    Attempt,
    Endpoint,
    Energy,
    EnergyStatus,
    Method,
    Outcome,
    Plan,
    Reason,
    Record,
    Target,
    Upstream,
    Usage,
)
from jevons.proxy.records import RecordStore, record_json


def record(request_id: str = "r1", tenant: str = "a", **fields: object) -> Record:
    """A record still in flight."""
    return replace(Record(request_id, tenant, Endpoint.CHAT, started_at=1_700_000_000.25), **fields)


def test_a_tenant_sees_only_its_own():
    """A record is found by its id and its tenant together."""
    store = RecordStore()
    store.put(record())
    assert store.get("r1", "a") == record()
    assert store.get("r1", "b") is None
    assert store.get("r2", "a") is None


def test_a_later_state_replaces_the_earlier():
    """The same request put again is kept once, as it is now."""
    store = RecordStore()
    store.put(record())
    store.put(record(outcome=Outcome.OK))
    assert store.get("r1", "a") == record(outcome=Outcome.OK)
    assert len(store) == 1


@given(st.integers(1, 5), st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_the_oldest_are_forgotten_first(capacity, ids):
    """The store never exceeds its capacity, and holds the requests that came last."""
    store = RecordStore(capacity)
    expected: list[str] = []
    for request_id in ids:
        store.put(record(request_id))
        if request_id not in expected:
            expected = [*expected, request_id][-capacity:]
        assert [each for each in "abcdefgh" if store.get(each, "a")] == sorted(expected)
        assert len(store) == len(expected)


def test_feedback_keeps_the_last_score():
    """Feedback may be given again: the last score counts, and giving it twice changes nothing."""
    store = RecordStore()
    store.put(record())
    assert store.score("r1") is None
    for score in (0.2, 1.0, 1.0):
        assert store.feedback("r1", "a", score)
        assert store.score("r1") == score


def test_the_first_score_of_each_request_is_heard_of():
    """Once, with the record, whatever is said of it later; what is refused is not heard of."""
    heard = []
    store = RecordStore(on_score=lambda record, score: heard.append((record.request_id, score)))
    store.put(record())
    store.put(record("r2"))
    for request_id, tenant, score in (("r1", "b", 1.0), ("r1", "a", 0.2), ("r1", "a", 1.0), ("r2", "a", 0.5), ("r3", "a", 0.5)):
        store.feedback(request_id, tenant, score)
    assert heard == [("r1", 0.2), ("r2", 0.5)]


def test_feedback_on_what_is_not_known_is_false():
    """Another tenant's request and an unknown one take no feedback."""
    store = RecordStore()
    store.put(record())
    assert not store.feedback("r1", "b", 1.0)
    assert not store.feedback("r2", "a", 1.0)
    assert store.score("r1") is None


def test_a_score_is_forgotten_with_its_record():
    """What is forgotten leaves no score behind."""
    store = RecordStore(capacity=1)
    store.put(record())
    store.feedback("r1", "a", 1.0)
    store.put(record("r2"))
    assert store.score("r1") is None


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_score_out_of_range_is_refused(score):
    """A score that is not within 0 and 1 is a bad request that names the field."""
    store = RecordStore()
    store.put(record())
    with pytest.raises(BadRequest) as caught:
        store.feedback("r1", "a", score)
    assert caught.value.param == "score"


def test_a_finished_record_as_json():
    """The reply has exactly the fields of the contract, in its shapes."""
    upstream = Upstream("chat", "http://chat/v1", "m")
    plan = (
        Plan()
        .because(Reason("caller", "no match", ""))
        .sent_to((Target(upstream),), Reason("rules", "proofs", "direct"), "direct")
    )
    energy = Energy(12.5, 12.0, 13.0, Method.SIMULATED, EnergyStatus.FINAL, "gpu", ("interpolated",), 0.001)
    finished = record(
        client_request_id="mine",
        upstream="chat",
        model="m",
        plan=plan,
        usage=Usage(prompt=10, cached=0, completion=20),
        energy=energy,
        attempts=(Attempt("chat", Outcome.OK, Usage(), energy),),
        outcome=Outcome.OK,
    )
    energy_json = {
        "joules": 12.5,
        "low": 12.0,
        "high": 13.0,
        "method": "simulated",
        "status": "final",
        "scope": "gpu",
        "quality": ["interpolated"],
        "gco2e": 0.001,
    }
    assert record_json(finished) == {
        "request_id": "r1",
        "client_request_id": "mine",
        "started_at": "2023-11-14T22:13:20.250Z",
        "upstream": "chat",
        "model": "m",
        "route": "rules:proofs;to=chat",
        "reasons": ["caller:no match", "rules:proofs;to=direct"],
        "tokens": {"prompt": 10, "cached": 0, "reasoning": None, "completion": 20},
        "energy": energy_json,
        "cost_usd": None,
        "attempts": [{"upstream": "chat", "outcome": "ok", "energy": energy_json}],
        "outcome": "ok",
    }


def test_a_request_in_flight_is_provisional_and_unknown_is_null():
    """Before the end there is no outcome, no route yet maybe, and no joules: all null, and provisional."""
    reply = record_json(record())
    assert reply["outcome"] is None
    assert reply["route"] is None
    assert reply["tokens"] == {"prompt": None, "cached": None, "reasoning": None, "completion": None}
    energy = reply["energy"]
    assert isinstance(energy, dict)
    assert energy["joules"] is None
    assert energy["status"] == "provisional"
    assert "gco2e" not in energy


def test_the_cost_is_that_of_the_tries_it_is_known_of():
    """Unknown of all of them it is null, and never 0."""
    tries = [Attempt("a", Outcome.OK, Usage(), Energy(), cost) for cost in (None, 0.25, 0.5)]
    known = record("r1", attempts=tuple(tries))
    assert record_json(known)["cost_usd"] == 0.75
    assert record_json(record("r1", attempts=tuple(tries[:1])))["cost_usd"] is None
