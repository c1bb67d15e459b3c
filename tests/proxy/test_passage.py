"""A request on its way: its record at any moment, and the sum of what its tries consumed."""

import pytest
from policy_cases import CHAT, THINKER, request

from jevons.proxy.exchange import Energy, EnergyStatus, Method, Outcome, Plan, Reason, Target, Usage
from jevons.proxy.passage import Passage, Try, total

ONE = Energy(2.0, 1.0, 3.0, Method.MEASURED, EnergyStatus.FINAL, "gpu", ("bypass",), 0.5)
OTHER = Energy(4.0, 3.0, 5.0, Method.MEASURED, EnergyStatus.FINAL, "gpu", ("gap", "bypass"), 0.25)
UNKNOWN = Energy(status=EnergyStatus.FINAL, quality=("gap",))


def test_one_try_is_the_request():
    """Its energy is passed on as it is."""
    assert total([ONE]) is ONE


def test_tries_are_summed():
    """Joules, bounds and emissions add up, every weakness is kept once."""
    assert total([ONE, OTHER]) == Energy(6.0, 4.0, 8.0, Method.MEASURED, EnergyStatus.FINAL, "gpu", ("bypass", "gap"), 0.75)


def test_a_try_of_unknown_energy_makes_the_whole_unknown():
    """Half a sum is no sum: joules, bounds, method and emissions are None."""
    whole = total([ONE, UNKNOWN])
    assert (whole.joules, whole.low, whole.high, whole.method, whole.gco2e) == (None, None, None, None, None)
    assert whole.quality == ("bypass", "gap")


@pytest.mark.parametrize(
    ("methods", "method"),
    [
        ((Method.MEASURED, Method.MEASURED), Method.MEASURED),
        ((Method.MEASURED, Method.ESTIMATED), Method.ESTIMATED),
        ((Method.ESTIMATED, Method.SIMULATED), Method.SIMULATED),
        ((Method.MEASURED, None), None),
    ],
)
def test_the_whole_is_as_good_as_its_worst_part(methods, method):
    """One simulated or estimated part makes the sum one."""
    assert total([Energy(1.0, 1.0, 1.0, each) for each in methods]).method is method


def test_one_open_part_leaves_the_whole_open():
    """Provisional until the last try is final; and no scope where the parts cover different things."""
    whole = total([ONE, Energy(1.0, 1.0, 1.0, Method.MEASURED, EnergyStatus.PROVISIONAL, "module")])
    assert whole.status is EnergyStatus.PROVISIONAL
    assert whole.scope is None


def test_a_record_before_anything_was_decided():
    """There is no upstream, no try, no outcome and no energy yet."""
    record = Passage(request(client_request_id="mine", tenant="alice")).record()
    assert (record.request_id, record.client_request_id, record.tenant) == ("r1", "mine", "alice")
    assert (record.upstream, record.model, record.attempts, record.outcome) == (None, None, (), None)
    assert (record.energy.joules, record.usage, record.duration_seconds) == (None, Usage(), None)


def test_a_record_has_every_try_and_speaks_of_the_last():
    """Failed ones stay; the one in flight has no outcome."""
    passage = Passage(request())
    passage.plan = Plan().sent_to((Target(CHAT), Target(THINKER)), Reason("rules", "proofs", "reasoning"), "reasoning")
    passage.tries += [Try(Target(CHAT), None), Try(Target(THINKER), None)]
    passage.tries[0].end(Outcome.UPSTREAM_ERROR)
    passage.tries[1].usage = Usage(completion=3)
    record = passage.record()
    tries = [(attempt.upstream, attempt.outcome) for attempt in record.attempts]
    assert tries == [("chat", Outcome.UPSTREAM_ERROR), ("thinker", None)]
    assert (record.upstream, record.model, record.usage.completion) == ("thinker", "thinker-model", 3)
    assert record.plan.route == "rules:proofs;to=chat"


def test_the_first_word_on_how_a_try_ended_counts():
    """What comes after is the tidying up."""
    attempt = Try(Target(CHAT), None)
    attempt.end(Outcome.OK)
    attempt.end(Outcome.CANCELLED)
    assert attempt.outcome is Outcome.OK


def test_times_are_since_the_beginning():
    """The first token is seen once; without one there is no time of it."""
    passage = Passage(request())
    assert passage.record().time_to_first_token_seconds is None
    passage.saw_token()
    first = passage.record().time_to_first_token_seconds
    passage.saw_token()
    assert passage.record().time_to_first_token_seconds == first
    passage.end(Outcome.OK)
    record = passage.record()
    assert 0 <= first <= record.duration_seconds
    assert record.outcome is Outcome.OK


def test_what_is_not_metered_is_settled_when_it_ends():
    """Nothing is to be waited for; before the end it is not settled."""
    passage = Passage(request())
    passage.tries.append(Try(Target(CHAT), None))
    assert not passage.is_settled
    passage.end(Outcome.OK)
    assert passage.is_settled
