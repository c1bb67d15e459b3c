"""A conversation keeps its tier and only moves up: known by its header or by what it holds, forgotten when idle."""

import json

from policy_cases import HYBRID, PAIR, facts, request

from jevons.policies.chain import PolicyChain
from jevons.policies.limits import LimitsPolicy
from jevons.policies.rules import Rule, RulesPolicy
from jevons.policies.session import SessionPolicy, Sessions
from jevons.proxy.exchange import Endpoint, Tier
from jevons.proxy.identity import Identity
from jevons.proxy.wire.parsing import parse

PROOFS = RulesPolicy([Rule("proofs", "reasoning", keywords=("prove",))])


class Clock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def chain(sessions):
    """Rules, and a conversation's memory."""
    return PolicyChain([PROOFS], [SessionPolicy(sessions, idle_seconds=100), LimitsPolicy()], "direct")


def chat(*messages, tenant="alice", **headers):
    """A request as it comes: user turns and answers in turn, or (role, content)."""
    turns = [
        {"role": ("user", "assistant")[place % 2], "content": message}
        if isinstance(message, str)
        else {"role": message[0], "content": message[1]}
        for place, message in enumerate(messages)
    ]
    body = json.dumps({"model": "auto", "messages": turns}).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse(
        Endpoint.CHAT, "application/json", body, request_id="r", identity=Identity(tenant), headers=given, started_at=0.0
    )


def ask(made, asked, known=PAIR):
    """One turn that goes out; where it went and the session's word."""
    decision = made.decide(asked, known)
    made.admit(asked, decision.plan, known)
    word = next(reason.word for reason in decision.words if reason.policy == "session")
    return decision.plan.candidates[0].tier, word


def test_a_conversation_stays_where_it_got_to():
    """Reasoned about once, its later turns are too, whatever they ask; another conversation is not."""
    made = chain(Sessions())
    assert ask(made, chat("Prove it")) == (Tier.REASONING, "reasoning already")
    assert ask(made, chat("Prove it", "Done.", "Thanks!")) == (Tier.REASONING, "keeps its tier")
    assert ask(made, chat("Prove it", "Done.", "Thanks!", "Welcome.", "Bye")) == (Tier.REASONING, "keeps its tier")
    assert ask(made, chat("Hello", "Hi.", "Thanks!")) == (Tier.DIRECT, "new or direct so far")


def test_it_moves_up_in_the_middle_and_not_down():
    """A direct conversation rises with the turn that needs it."""
    made = chain(Sessions())
    turns = ["Hello", "Hi.", "Prove it", "So.", "Thanks"]
    assert [ask(made, chat(*turns[:count]))[0] for count in (1, 3, 5)] == [Tier.DIRECT, Tier.REASONING, Tier.REASONING]


def test_the_same_opening_is_not_the_same_conversation():
    """Two that begin alike part with their second turns; all of the text counts, also behind a long system prompt."""
    made = chain(Sessions())
    system = ("system", "You are kind. " * 2000)
    ask(made, chat(system, ("user", "Hi")))
    assert ask(made, chat(system, ("user", "Hi"), ("assistant", "Hi."), ("user", "prove A")))[0] is Tier.REASONING
    ours = [system, ("user", "Hi"), ("assistant", "Hi."), ("user", "prove A"), ("assistant", "QED"), ("user", "ok")]
    theirs = [system, ("user", "Hi"), ("assistant", "Hi."), ("user", "sing A"), ("assistant", "QED"), ("user", "ok")]
    assert ask(made, chat(*ours))[0] is Tier.REASONING
    assert ask(made, chat(*theirs))[0] is Tier.DIRECT


def test_tool_results_continue_a_conversation():
    """An answer without text, which asks for a tool, is an answer all the same."""
    made = chain(Sessions())
    ask(made, chat("Look it up", x_jevons_tier="reasoning"))
    asked = chat(("user", "Look it up"), ("assistant", None), ("tool", "42"))
    assert ask(made, asked) == (Tier.REASONING, "keeps its tier")


def test_tenants_do_not_share_conversations():
    """Not by their text, nor by the same name for a session."""
    made = chain(Sessions())
    ask(made, chat("Prove it"))
    ask(made, chat("Prove it", x_jevons_session="s1"))
    assert ask(made, chat("Prove it", "Done.", "Thanks", tenant="bob"))[0] is Tier.DIRECT
    assert ask(made, chat("Thanks", tenant="bob", x_jevons_session="s1"))[0] is Tier.DIRECT


def test_the_header_names_a_conversation_whatever_it_holds():
    """A client that shortens its history says which session it is."""
    made = chain(Sessions())
    ask(made, chat("Prove it", x_jevons_session="s1"))
    assert ask(made, chat("Thanks", x_jevons_session="s1"))[0] is Tier.REASONING
    assert ask(made, chat("Thanks", x_jevons_session="s2"))[0] is Tier.DIRECT


def test_an_idle_conversation_begins_anew():
    """Each turn renews it."""
    clock = Clock()
    made = chain(Sessions(clock=clock))
    ask(made, chat("Prove it", x_jevons_session="s"))
    for tier in (Tier.REASONING, Tier.REASONING):
        clock.now += 99
        assert ask(made, chat("Thanks", x_jevons_session="s"))[0] is tier
    clock.now += 100
    assert ask(made, chat("Thanks", x_jevons_session="s"))[0] is Tier.DIRECT


def test_the_callers_word_stands_for_its_turn_only():
    """A turn that was asked to be direct, or pinned, is; the next is as the conversation."""
    made = chain(Sessions())
    ask(made, chat("Prove it", x_jevons_session="s"))
    assert ask(made, chat("Hm", x_jevons_session="s", x_jevons_tier="direct")) == (Tier.DIRECT, "the caller's word stands")
    assert ask(made, chat("Thanks", x_jevons_session="s"))[0] is Tier.REASONING


def test_a_hybrid_model_thinks_on():
    """Its tier is its switch."""
    made, known = chain(Sessions()), facts(HYBRID)
    ask(made, chat("Prove it", x_jevons_session="s"), known)
    assert made.decide(chat("Thanks", x_jevons_session="s"), known).plan.candidates[0].thinking is True


def test_memory_is_bounded_and_asking_changes_nothing():
    """The oldest are forgotten; `explain` and shadows leave no trace."""
    sessions = Sessions(capacity=3)
    made = chain(sessions)
    made.decide(chat("Prove it", x_jevons_session="s"), PAIR)
    assert len(sessions) == 0
    for number in range(10):
        ask(made, chat("Prove it", x_jevons_session=f"s{number}"))
    assert len(sessions) == 3
    assert ask(made, chat("Thanks", x_jevons_session="s9"))[0] is Tier.REASONING
    assert ask(made, chat("Thanks", x_jevons_session="s0"))[0] is Tier.DIRECT


def test_a_request_without_text_has_no_conversation():
    """Nothing is remembered of what cannot be told apart."""
    sessions = Sessions()
    asked = request()
    made = chain(sessions)
    made.admit(asked, made.decide(asked, PAIR).plan, PAIR)
    assert len(sessions) == 0
