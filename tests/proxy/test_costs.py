"""What answers have cost lately: averages that forget, of what is known and of nothing else."""

import pytest
from msgspec import structs

from jevons.proxy.costs import Costs, PowerNow, total_watts
from jevons.proxy.exchange import Attempt, Endpoint, Energy, EnergyStatus, Method, Outcome, Record, Tier, Usage


def record(joules=50.0, completion=100, reasoning=None, outcome=Outcome.OK, **fields):
    """A finished request to `chat`."""
    energy = Energy(joules, method=Method.MEASURED)
    attempt = Attempt("chat", outcome, Usage(10, 0, reasoning, completion), energy)
    return Record("r", "default", Endpoint.CHAT, 0.0, attempts=(attempt,), energy=energy, **fields)


def test_joules_per_token_and_tokens_by_whether_it_thought():
    """A hybrid model has two lengths and one price."""
    costs = Costs()
    costs.see(record(50.0, 100))
    costs.see(record(550.0, 1000, reasoning=900))
    assert costs.joules_per_token["chat"] == pytest.approx((0.5 + 0.55) / 2)
    assert costs.completion_tokens == {("chat", Tier.DIRECT): 100.0, ("chat", Tier.REASONING): 1000.0}


def test_the_last_twenty_or_so_count():
    """A change shows, and one odd answer does not outweigh the rest."""
    costs = Costs()
    for _ in range(50):
        costs.see(record(completion=100))
    costs.see(record(completion=1100))
    assert costs.completion_tokens["chat", Tier.DIRECT] == pytest.approx(150.0)
    for _ in range(100):
        costs.see(record(completion=1100))
    assert costs.completion_tokens["chat", Tier.DIRECT] > 1090


def test_what_is_unknown_or_broken_off_teaches_nothing():
    """No joules, joules that may still change, no tokens, a client that left."""
    costs = Costs()
    costs.see(record(completion=None))
    costs.see(record(outcome=Outcome.CANCELLED))
    assert not costs.completion_tokens
    unknown = record(joules=None)
    (attempt,) = record().attempts
    open_energy = structs.replace(attempt.energy, status=EnergyStatus.PROVISIONAL)
    costs.see(unknown)
    costs.see(structs.replace(unknown, attempts=(structs.replace(attempt, energy=open_energy),)))
    assert not costs.joules_per_token
    assert costs.completion_tokens


def test_answers_side_by_side_are_answers_each():
    """`n: 4` is four of a quarter of the tokens."""
    costs = Costs()
    costs.see(record(completion=400, sequences=4))
    assert costs.completion_tokens["chat", Tier.DIRECT] == 100.0


def test_an_answer_that_was_thrown_away_cost_what_it_cost():
    """The first try of an escalation counts like any other."""
    costs = Costs()
    costs.see(record(outcome=Outcome.REJECTED))
    assert costs.joules_per_token["chat"] == 0.5


def test_power_is_read_at_most_once_a_second():
    """And is unknown where a device's is."""
    now, readings = [0.0], iter([100.0, 200.0])
    power = PowerNow(lambda: next(readings), clock=lambda: now[0])
    assert [power.watts, power.watts] == [100.0, 100.0]
    now[0] = 1.0
    assert power.watts == 200.0
    assert total_watts([1.0, 2.0]) == 3.0
    assert total_watts([1.0, None]) is None
    assert total_watts([]) is None
