"""The escalate policy: each signal, what is no signal, and answers that were reasoned about already."""

import pytest
from policy_cases import CHAT, HYBRID, THINKER, request

from jevons.policies.answer import Answer, ToolCall
from jevons.policies.escalate import EscalatePolicy
from jevons.proxy.exchange import Target

WEATHER = {"weather": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}


def review(answer, policy=None, target=None, **fields):
    """The word on an answer."""
    return (policy or EscalatePolicy()).review(request(**fields), target or Target(CHAT), answer)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (Answer("Lima.", "stop"), ""),
        (Answer("Lim", "length"), "length"),
        (Answer("I\u2019m sorry, but I can\u2019t help with that.", "stop"), "refusal"),
        (Answer("", "stop", refusal="No."), "refusal"),
        (Answer("I can help: sorry comes first.", "stop"), ""),
        (Answer("He said: I cannot help.", "stop"), ""),
        (Answer("Lima", "stop", wants_json=True), "json"),
        (Answer('{"city": "Lima"}', "stop", wants_json=True), ""),
        (Answer('{"town": "Lima"}', "stop", wants_json=True, schema=WEATHER["weather"]), "json"),
        (Answer('{"city": "Lima"}', "stop", wants_json=True, schema=WEATHER["weather"]), ""),
        (Answer("", "tool_calls", tool_calls=(ToolCall("weather", '{"city": "Lima"}'),), tools=WEATHER, wants_json=True), ""),
        (Answer("", "tool_calls", tool_calls=(ToolCall("weather", '{"city": 3}'),), tools=WEATHER), "tools"),
        (Answer("", "tool_calls", tool_calls=(ToolCall("weather", '{"city"'),), tools=WEATHER), "tools"),
        (Answer("", "tool_calls", tool_calls=(ToolCall("whether", "{}"),), tools=WEATHER), "tools"),
        (Answer("Lima.", "stop", mean_logprob=-9.0), ""),
        (Answer("[" * 100_000, "stop", wants_json=True), "json"),
    ],
)
def test_signals(answer, word):
    """What is wrong is named; an answer that will do has no word."""
    assert review(answer) == word


def test_a_clients_own_short_limit_is_no_signal():
    """What it cut short, it would cut shorter."""
    assert review(Answer("Lim", "length"), max_tokens=50) == ""
    assert review(Answer("Lim", "length"), max_tokens=4000) == "length"


def test_unsure_tokens_are_a_signal_where_it_is_wanted():
    """The mean log-probability, where the client asked for it."""
    policy = EscalatePolicy(mean_logprob_below=-1.0)
    assert review(Answer("Lima.", "stop", mean_logprob=-1.5), policy) == "logprob -1.50"
    assert review(Answer("Lima.", "stop", mean_logprob=-0.5), policy) == ""
    assert review(Answer("Lima.", "stop"), policy) == ""


def test_only_the_chosen_signals_count():
    """And the operator's own words for a refusal."""
    policy = EscalatePolicy(["refusal"], refusals=["das kann ich nicht"])
    assert review(Answer("Lim", "length"), policy) == ""
    assert review(Answer("Das kann ich nicht sagen.", "stop"), policy) == "refusal"
    assert review(Answer("I cannot help.", "stop"), policy) == ""


def test_reasoning_is_the_last_word():
    """Whatever it says."""
    for target in (Target(THINKER), Target(HYBRID, thinking=True)):
        assert review(Answer("Lim", "length"), target=target) == ""
