"""What became of answers: whose score it is, and what an escalation threw away."""

import pytest
from msgspec.structs import replace

from jevons.exporters.quality import Quality
from jevons.proxy.exchange import (
    Attempt,
    Endpoint,
    Energy,
    EnergyStatus,
    Outcome,
    Plan,
    Reason,
    Reasoning,
    Record,
    Target,
    Upstream,
    Usage,
)

CHAT = Target(Upstream("chat", "http://127.0.0.1:1/v1", "m"))
THINKER = Target(Upstream("thinker", "http://127.0.0.1:2/v1", "r", reasoning=Reasoning.ALWAYS))


def planned(target, *reasons, decision="direct"):
    """A plan that these have made."""
    return Plan((target,), tuple(Reason(policy, word, "x") for policy, word in reasons), decision)


def record(plan, *attempts, **changes):
    """One that has ended well; attempts as (upstream, outcome, joules)."""
    tries = tuple(Attempt(name, outcome, Usage(), Energy(joules)) for name, outcome, joules in attempts)
    upstream = attempts[-1][0] if attempts else None
    return replace(
        Record("r1", "a", Endpoint.CHAT, 0.0, upstream=upstream, plan=plan, attempts=tries, outcome=Outcome.OK), **changes
    )


def shown(quality):
    """What is not 0, by name and labels."""
    samples = [sample for tally in quality.tallies for sample in tally.family().samples if not sample.name.endswith("_bucket")]
    return {(one.name.removeprefix("jevons_"), *one.labels.values()): one.value for one in samples if one.value}


RULES, CALLER = ("rules", "proofs"), ("caller", "x-jevons-tier")
GOOD = ("chat", Outcome.OK, 5.0)


@pytest.mark.parametrize(
    ("scored", "labels"),
    [
        (record(planned(CHAT, RULES), GOOD), ("routed", "direct")),
        (record(planned(THINKER, RULES), ("thinker", Outcome.OK, 50.0)), ("routed", "reasoning")),
        (record(planned(CHAT, CALLER), GOOD), ("caller", "direct")),
        (record(planned(CHAT, RULES, decision="pinned"), GOOD), ("caller", "direct")),
        (
            record(planned(THINKER, ("holdout", "other arm")), ("thinker", Outcome.OK, 1.0), holdout_of="r0"),
            ("holdout", "reasoning"),
        ),
    ],
)
def test_a_score_is_its_arms(scored, labels):
    """By who chose, and by the tier that answered."""
    quality = Quality()
    quality.scored(scored, 0.5)
    quality.scored(scored, 1.0)
    assert shown(quality) == {("feedback_score_sum", *labels): 1.5, ("feedback_score_count", *labels): 2.0}


def test_a_fallback_scores_for_the_tier_that_answered():
    """And what was sent nowhere for none."""
    quality = Quality()
    plan = Plan((CHAT, THINKER), (Reason("rules", "x", "direct"),), "direct")
    quality.scored(record(plan, ("chat", Outcome.UPSTREAM_ERROR, 1.0), ("thinker", Outcome.OK, 9.0)), 1.0)
    quality.scored(record(Plan(decision="rejected"), outcome=Outcome.REJECTED), 1.0)
    assert shown(quality) == {
        ("feedback_score_sum", "routed", "reasoning"): 1.0,
        ("feedback_score_count", "routed", "reasoning"): 1.0,
    }


def test_all_series_are_there_from_the_start():
    """Few, and all 0: six of scores, six reasons twice."""
    families = {tally.family().name: tally.family().samples for tally in Quality().tallies}
    assert len([one for one in families["jevons_feedback_score"] if one.name.endswith("_count")]) == 6
    assert [one.value for one in families["jevons_escalations"]] == 6 * [0.0]
    assert [one.value for one in families["jevons_escalation_wasted_joules"]] == 6 * [0.0]


REFUSED = ("chat", Outcome.REJECTED, 5.0)


@pytest.mark.parametrize(
    ("word", "reason"), [("json", "json"), ("length", "length"), ("logprob -1.20", "logprob"), ("mood", "other")]
)
def test_an_escalation_is_counted_with_its_reason_and_its_waste(word, reason):
    """When the request ends, and when its energy is final; the words are few, whatever a policy says."""
    quality = Quality()
    escalated = record(planned(THINKER, RULES, ("escalate", word)), REFUSED, ("thinker", Outcome.OK, 50.0))
    quality.answered(escalated)
    assert shown(quality) == {("escalations_total", reason): 1.0}
    quality.settled(escalated)
    assert shown(quality) == {("escalations_total", reason): 1.0, ("escalation_wasted_joules_total", reason): 5.0}


def test_where_reasoning_fails_its_joules_are_the_waste():
    """The client got the first answer after all."""
    quality = Quality()
    failed = ("thinker", Outcome.UPSTREAM_ERROR, 7.0)
    quality.settled(record(planned(THINKER, ("escalate", "tools")), REFUSED, failed, failed))
    assert shown(quality) == {("escalation_wasted_joules_total", "tools"): 14.0}


def test_where_the_client_leaves_the_refused_answer_is_the_waste():
    """It never had it."""
    quality = Quality()
    plan = planned(THINKER, ("escalate", "json"))
    quality.settled(record(plan, REFUSED, ("thinker", Outcome.CANCELLED, 7.0), outcome=Outcome.CANCELLED))
    assert shown(quality) == {("escalation_wasted_joules_total", "json"): 5.0}


def test_a_reviewer_of_ones_own_is_other():
    """Its word may be anything."""
    quality = Quality()
    quality.answered(record(planned(THINKER, ("mine", "json")), REFUSED, ("thinker", Outcome.OK, 1.0)))
    assert shown(quality) == {("escalations_total", "other"): 1.0}


def test_second_tries_are_no_escalation():
    """A failed server is another matter."""
    quality = Quality()
    retried = record(planned(CHAT, RULES), ("chat", Outcome.UPSTREAM_ERROR, 1.0), GOOD)
    quality.answered(retried)
    quality.settled(retried)
    assert shown(quality) == {}


@pytest.mark.parametrize("energy", [Energy(), Energy(5.0, status=EnergyStatus.PROVISIONAL)])
def test_waste_that_is_not_known_is_not_counted(energy):
    """No zero, and no guess."""
    quality = Quality()
    escalated = record(planned(THINKER, ("escalate", "json")), REFUSED, ("thinker", Outcome.OK, 50.0))
    refused, answered = escalated.attempts
    quality.settled(replace(escalated, attempts=(replace(refused, energy=energy), answered)))
    assert shown(quality) == {}
