"""Budgets: reserved before, charged after, never overdrawn by two at once, and no reservation outlives its request."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import CHAT, HYBRID, PAIR, THINKER, facts, request

from jevons.policies.budget import Balances, Budget, BudgetPolicy, Per, Then, Window
from jevons.policies.chain import PolicyChain
from jevons.policies.limits import LimitsPolicy
from jevons.policies.policy import Reject, Wait
from jevons.proxy.exchange import Attempt, Endpoint, Energy, Outcome, Plan, Reason, Record, Target, Tier, Usage

DAY = 86_400.0


class Clock:
    """Unix time, moved by hand; it begins at a midnight."""

    def __init__(self):
        self.now = 20_000 * DAY

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """The time."""
    return Clock()


def policy(clock, *budgets, **options):
    """The policy with these budgets, which holds 100 J for a request of unknown cost."""
    return BudgetPolicy(budgets, Balances(clock), clock=clock, **{"reserve_joules": 100.0, **options})


def plan_to(upstream, decision="reasoning"):
    """A plan as a chooser leaves it."""
    return Plan((Target(upstream),), (Reason("rules", "r", decision),), decision)


def admit(made, number, plan=None, known=PAIR, **fields):
    """Ask for a request, and let it go where that is possible; the verdict."""
    asked = request(id=f"r{number}", **fields)
    verdict = made.decide(asked, plan or plan_to(THINKER), known)
    if isinstance(verdict, Plan):
        made.admitted(asked, verdict, known)
    return verdict


def record(number, joules, tenant="default", *, is_tried=True):
    """What has become of a request."""
    energy = Energy(joules)
    attempts = (Attempt("thinker", Outcome.OK, Usage(), energy),) if is_tried else ()
    return Record(f"r{number}", tenant, Endpoint.CHAT, 0.0, energy=energy, attempts=attempts)


def test_a_budget_is_reserved_and_then_charged(clock):
    """Three of 100 J fit into 300 J; one that took less gives the rest back, one that took more takes it."""
    made = policy(clock, Budget("day", 300.0, then=Then.REFUSE))
    assert [isinstance(admit(made, number), Plan) for number in range(4)] == [True, True, True, False]
    made.settled(record(0, 20.0))
    assert isinstance(admit(made, 4), Reject)  # 20 + 100 + 100 + 100 is more than there is
    made.settled(record(1, 60.0))
    assert isinstance(admit(made, 5), Plan)
    made.settled(record(2, 250.0))
    assert isinstance(admit(made, 6), Reject)


def test_a_refusal_says_when_to_come_again(clock):
    """429 with the seconds until midnight UTC; clients that would retry all day are told not to."""
    clock.now += 3600.0
    made = policy(clock, Budget("day", 50.0, then=Then.REFUSE), Budget("minute", 1e9, window=Window.MINUTE))
    verdict = admit(made, 1)
    assert isinstance(verdict, Reject)
    assert (verdict.error.status, verdict.error.code) == (429, "energy_budget_spent")
    assert verdict.error.headers == {"retry-after": str(23 * 3600), "x-should-retry": "false"}
    assert "50 J a day" in verdict.error.message
    short = admit(policy(clock, Budget("minute", 50.0, window=Window.MINUTE, then=Then.REFUSE)), 1)
    assert short.error.headers == {"retry-after": "60"}


def test_a_window_renews_the_budget_and_a_request_is_charged_to_its_own(clock):
    """One that began before midnight is yesterday's, however long it goes on."""
    made = policy(clock, Budget("day", 100.0, then=Then.REFUSE))
    assert isinstance(admit(made, 1), Plan)
    assert isinstance(admit(made, 2), Reject)
    clock.now += DAY
    assert isinstance(admit(made, 3), Plan)
    made.settled(record(1, 1e6))
    made.settled(record(3, 0.0))
    assert isinstance(admit(made, 4), Plan)


def test_downgrading_takes_the_reasoning_out(clock):
    """The direct tier instead, and no limit behind may raise it again; what is direct goes on, and is charged."""
    made = policy(clock, Budget("day", 50.0))
    verdict = admit(made, 1)
    assert (verdict.candidates[0].upstream, verdict.decision, verdict.ceiling) == (CHAT, "direct", Tier.DIRECT)
    assert verdict.decisive == Reason("budget", "day", "direct")
    direct = admit(made, 2, plan_to(CHAT, "direct"))
    assert direct.candidates[0].upstream == CHAT
    assert direct.ceiling is Tier.DIRECT
    small = replace(CHAT, context_tokens=10)
    chained = PolicyChain([], [made, LimitsPolicy()], "direct")
    assert isinstance(chained.decide(request(tokens=1000), facts(small, THINKER)).verdict, Reject)


def test_a_pinned_model_is_switched_off_or_refused(clock):
    """A hybrid one answers without thinking; one that always thinks is not asked."""
    made = policy(clock, Budget("day", 50.0))
    hybrid = admit(made, 1, plan_to(HYBRID, "pinned"), facts(HYBRID))
    assert (hybrid.candidates, hybrid.decision) == ((Target(HYBRID, thinking=False),), "pinned")
    assert isinstance(admit(made, 2, plan_to(THINKER, "pinned")), Reject)
    assert isinstance(admit(made, 3, plan_to(THINKER), facts(THINKER)), Reject)


def test_queueing_waits_a_while_and_then_refuses(clock):
    """Nothing is held while it waits, and it goes as soon as there is room."""
    made = policy(clock, Budget("day", 100.0, then=Then.QUEUE, queue_seconds=10.0))
    assert isinstance(admit(made, 1), Plan)
    begun = clock.now
    assert isinstance(admit(made, 2, started_at=begun), Wait)
    clock.now += 9.0
    assert isinstance(admit(made, 2, started_at=begun), Wait)
    made.settled(record(1, 0.0))
    assert isinstance(admit(made, 2, started_at=begun), Plan)
    clock.now += 1.0
    assert isinstance(admit(made, 3, started_at=begun), Reject)


def test_whose_account_it_is(clock):
    """By tenant, by key or all together; and a budget that names tenants is for those alone."""
    by_tenant = policy(clock, Budget("b", 100.0, then=Then.REFUSE))
    assert isinstance(admit(by_tenant, 1, tenant="alice"), Plan)
    assert isinstance(admit(by_tenant, 2, tenant="bob"), Plan)
    by_key = policy(clock, Budget("b", 100.0, per=Per.KEY, then=Then.REFUSE))
    assert isinstance(admit(by_key, 1, tenant="alice", key="laptop"), Plan)
    assert isinstance(admit(by_key, 2, tenant="alice", key="phone"), Plan)
    assert isinstance(admit(by_key, 3, tenant="alice", key="phone"), Reject)
    together = policy(clock, Budget("b", 100.0, per=Per.ALL, then=Then.REFUSE))
    assert isinstance(admit(together, 1, tenant="alice"), Plan)
    assert isinstance(admit(together, 2, tenant="bob"), Reject)
    named = policy(clock, Budget("b", 50.0, then=Then.REFUSE, tenants=frozenset({"alice"})))
    assert isinstance(admit(named, 1, tenant="alice"), Reject)
    assert isinstance(admit(named, 2, tenant="bob"), Plan)


def test_what_is_measured_is_reserved(clock):
    """Joules per token times the usual tokens, the client's limit where it is lower, times the answers asked for."""
    known = facts(CHAT, THINKER, joules_per_token={"thinker": 0.5}, completion_tokens={("thinker", Tier.REASONING): 1000.0})
    made = policy(clock, Budget("b", 500.0, then=Then.REFUSE))
    assert isinstance(admit(made, 1, known=known), Plan)
    assert isinstance(admit(made, 2, known=known, max_tokens=10), Reject)
    made.settled(record(1, 480.0))
    assert isinstance(admit(made, 3, known=known, max_tokens=10, sequences=4), Plan)
    assert isinstance(admit(made, 4, known=known, max_tokens=10), Reject)


def test_what_is_unknown_is_charged_as_it_was_reserved(clock):
    """Unknown is not nothing; but a request that no upstream was asked for has cost nothing."""
    made = policy(clock, Budget("b", 100.0, then=Then.REFUSE))
    admit(made, 1)
    made.settled(record(1, None, is_tried=False))
    admit(made, 2)
    made.settled(record(2, None))
    assert isinstance(admit(made, 3), Reject)


def test_asking_reserves_nothing(clock):
    """`explain`, shadows and replays ask as often as they like."""
    balances = Balances(clock)
    made = BudgetPolicy([Budget("b", 100.0, then=Then.REFUSE)], balances, reserve_joules=100.0, clock=clock)
    for _ in range(5):
        assert isinstance(made.decide(request(), plan_to(THINKER), PAIR), Plan)
    assert balances.reservations == 0


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["go", "escalate", "end", "unknown", "cancel"])), max_size=60))
def test_no_reservation_leaks(steps):
    """Whatever order requests come and end in: what is used is what has been charged, once all are over."""
    clock = Clock()
    balances = Balances(clock)
    budget = Budget("b", 1e9, then=Then.REFUSE)
    made = BudgetPolicy([budget], balances, reserve_joules=100.0, clock=clock)
    held, charged = {}, 0.0
    endings = {"end": 30.0, "unknown": None, "cancel": 0.0}
    for number, what in [*steps, *((number, "cancel") for number in range(8))]:
        if (what == "go" and number not in held) or (what == "escalate" and number in held):
            admit(made, number)
            held[number] = held.get(number, 0.0) + 100.0
        elif what in endings and number in held:
            made.settled(record(number, endings[what], is_tried=what != "cancel"))
            reserved = held.pop(number)
            charged += reserved if endings[what] is None else endings[what]
    assert balances.reservations == 0
    assert balances.used("b/default", Window.DAY) == pytest.approx(charged)


def test_standings_say_who_has_used_what(clock):
    """Spent and reserved by holder, until when; a budget for all, or for named tenants, is there before anybody used it."""
    made = policy(
        clock,
        Budget("house", 1000.0, Per.ALL),
        Budget("team", 300.0, tenants=frozenset({"bob"})),
        Budget("keys", 500.0, Per.KEY, Window.HOUR),
    )
    assert [(one.name, one.holder, one.used_joules) for one in made.standings()] == [("house", "all", 0.0), ("team", "bob", 0.0)]
    admit(made, 1, tenant="bob", key="laptop")
    admit(made, 2, tenant="eve", key="phone")
    made.settled(record(1, 40.0, "bob"))
    found = {(one.name, one.holder): (one.used_joules, one.limit_joules) for one in made.standings()}
    assert found == {
        ("house", "all"): (140.0, 1000.0),
        ("team", "bob"): (40.0, 300.0),
        ("keys", "bob/laptop"): (40.0, 500.0),
        ("keys", "eve/phone"): (100.0, 500.0),
    }
    assert {one.resets_at - clock.now for one in made.standings()} == {DAY, 3600.0}


def test_standings_of_a_window_that_is_over(clock):
    """Who used the last window up has used nothing of this one."""
    made = policy(clock, Budget("daily", 300.0))
    admit(made, 1)
    assert len(made.standings()) == 1
    clock.now += DAY
    assert made.standings() == []


def test_the_chain_tells_of_budgets_that_count(clock):
    """Those among its limits, not a shadow's."""
    first, shadow = policy(clock, Budget("daily", 300.0, Per.ALL)), policy(clock, Budget("trial", 1.0, Per.ALL))
    chain = PolicyChain([], [first], "direct", shadows=[shadow])
    assert [one.name for one in chain.standings()] == ["daily"]
