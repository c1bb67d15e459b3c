"""Tests of what is shown beside the counts."""

import pytest

from jevons.exporters.surroundings import Surroundings
from jevons.proxy.exchange import Reasoning, Upstream
from jevons.proxy.observed import BudgetState

CHAT = Upstream("chat", "http://127.0.0.1:1/v1", "llama")
THINKER = Upstream("thinker", "http://127.0.0.1:2/v1", "r1", reasoning=Reasoning.ALWAYS)


def samples(surroundings):
    """By metric: labels and values."""
    return {family.name: [(each.labels, each.value) for each in family.samples] for family in surroundings.families()}


def test_every_upstream_is_named_with_its_model():
    """A dashboard joins on it."""
    assert samples(Surroundings(upstreams=[CHAT, THINKER]))["jevons_upstream_info"] == [
        ({"upstream": "chat", "model": "llama", "reasoning": "never"}, 1.0),
        ({"upstream": "thinker", "model": "r1", "reasoning": "always"}, 1.0),
    ]


def test_a_server_that_was_not_asked_is_absent():
    """Up is 1, down is 0, and unknown is no sample: the state is asked anew each time."""
    states = {}
    surroundings = Surroundings(upstreams=[CHAT, THINKER], are_up=lambda: states)
    assert samples(surroundings)["jevons_upstream_up"] == []
    states.update(chat=True, thinker=False)
    assert samples(surroundings)["jevons_upstream_up"] == [({"upstream": "chat"}, 1.0), ({"upstream": "thinker"}, 0.0)]


def test_price_and_pue_are_in_base_units():
    """A price per kWh is served per joule; without one there is no sample, and the PUE is always there."""
    assert samples(Surroundings())["jevons_energy_price_per_joule"] == []
    assert samples(Surroundings())["jevons_pue"] == [({}, 1.0)]
    shown = samples(Surroundings(pue=1.2, price_per_kwh=0.36))
    assert shown["jevons_pue"] == [({}, 1.2)]
    assert shown["jevons_energy_price_per_joule"][0][1] == pytest.approx(1e-7)


def test_the_holdout_is_shown_as_far_as_it_is_known():
    """Nothing drawn is 0 requests; a saving without an interval has no bounds yet."""
    assert samples(Surroundings())["jevons_holdout_requests_total".removesuffix("_total")] == [({}, 0.0)]
    assert samples(Surroundings())["jevons_measured_saving_ratio"] == []
    assert samples(Surroundings())["jevons_holdout_pair_energy_joules"] == [({"arm": "routed"}, 0.0), ({"arm": "reasoning"}, 0.0)]
    pairs = {"pairs": 2.0, "pairs_routed": 30.0, "pairs_reasoning": 50.0}
    shown = samples(Surroundings(holdout=lambda: {"requests": 3.0, "joules": 90.0, "estimate": 0.4, **pairs}))
    assert shown["jevons_holdout_pairs"] == [({}, 2.0)]
    assert shown["jevons_holdout_pair_energy_joules"] == [({"arm": "routed"}, 30.0), ({"arm": "reasoning"}, 50.0)]
    assert shown["jevons_holdout_energy_joules"] == [({}, 90.0)]
    assert shown["jevons_measured_saving_ratio"] == [({"bound": "estimate"}, 0.4)]


def test_budgets_name_whom_the_configuration_knows():
    """A known tenant and its keys, and everybody together; whoever else shares one series, in which the sums are."""
    states = [
        BudgetState("daily", "alice", 30.0, 100.0, 0.0),
        BudgetState("daily", "gone", 40.0, 100.0, 0.0),
        BudgetState("daily", "gone-too", 50.0, 100.0, 0.0),
        BudgetState("burst", "alice/laptop", 5.0, 10.0, 0.0),
        BudgetState("house", "all", 0.0, 900.0, 0.0),
    ]
    shown = samples(Surroundings(budgets=lambda: states, tenants=lambda: ("alice",)))
    used = {tuple(labels.values()): value for labels, value in shown["jevons_budget_used_joules"]}
    limits = {tuple(labels.values()): value for labels, value in shown["jevons_budget_limit_joules"]}
    assert used == {
        ("daily", "alice"): 30.0,
        ("daily", "other"): 90.0,
        ("burst", "alice/laptop"): 5.0,
        ("house", "all"): 0.0,
    }
    assert limits == {
        ("daily", "alice"): 100.0,
        ("daily", "other"): 200.0,
        ("burst", "alice/laptop"): 10.0,
        ("house", "all"): 900.0,
    }


def test_without_budgets_there_are_no_series():
    """Nothing is not zero joules of nothing."""
    shown = samples(Surroundings())
    assert shown["jevons_budget_used_joules"] == shown["jevons_budget_limit_joules"] == []
