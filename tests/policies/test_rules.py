from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from policy_cases import CHAT, HYBRID, PAIR, facts, request

from jevons.policies.hours import Hours
from jevons.policies.policy import Facts
from jevons.policies.rules import SEARCHED_CHARACTERS, Rule, RulesPolicy
from jevons.proxy.errors import ConfigError
from jevons.proxy.exchange import Plan, Prompt, Reason, Request, Target
from jevons.proxy.pattern import Pattern


def decide(rules: Rule | list[Rule], asked: Request, known: Facts = PAIR) -> Plan:
    """The plan after the rules policy."""
    plan = RulesPolicy(rules if isinstance(rules, list) else [rules]).decide(asked, Plan(), known)
    assert isinstance(plan, Plan)
    return plan


def has_matched(rule: Rule, asked: Request) -> bool:
    """Whether the rule sent the request somewhere."""
    return bool(decide(rule, asked).candidates)


@pytest.mark.parametrize(
    ("keyword", "text", "is_match"),
    [
        ("prove", "Please PROVE it.", True),
        ("prove", "how can this improve", False),
        ("prove", "it was proven", False),
        ("prove", "prove", True),
        ("prove", "improve, then prove", True),
        ("step by step", "Think step  by\nstep!", True),
        ("step by step", "step by steps", False),
        ("step  by step", "a step by step plan", True),
        ("démontre", "DÉMONTRE que 2 > 1", True),
        ("démontre", "de\u0301montre que 2 > 1", True),
        ("demontre", "démontre", False),
        ("straße", "DIE STRASSE", True),
        ("докажи", "Докажи теорему", True),
        ("докажи", "докажите теорему", False),
        ("证明", "请证明这个定理", True),
        ("증명", "이것을 증명 해줘", True),
        ("सिद्", "सिद्ध कीजिए", False),
        ("सिद्ध", "सिद्ध कीजिए", True),
        ("c++", "in C++, please", True),
        (".net", "the .NET runtime", True),
        ("a.b", "axb", False),
        ("prove_it", "prove_it now", True),
        ("prove", "prove_it now", False),
    ],
)
def test_keywords_are_whole_words_whatever_their_case(keyword, text, is_match):
    """A keyword matches as whole words, in any case, script and spacing, and never inside another word."""
    assert has_matched(Rule("k", "reasoning", keywords=(keyword,)), request(text)) is is_match


def test_any_keyword_is_enough():
    """Of several keywords one that is found suffices."""
    rule = Rule("k", "reasoning", keywords=("prove", "derive"))
    assert has_matched(rule, request("derive the formula"))
    assert not has_matched(rule, request("write the formula"))


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["prove", "step by step", "доказать", "ñandú"]))
def test_a_keyword_between_spaces_is_always_found(before, after, keyword):
    """Whatever stands around it, a keyword with white space on both sides matches."""
    assert has_matched(Rule("k", "reasoning", keywords=(keyword,)), request(f"{before} {keyword.upper()} {after}"))


@given(st.text(alphabet="abcxyzé ", max_size=80))
def test_a_keyword_that_is_not_there_is_never_found(text):
    """A prompt without the letters of the keyword never matches."""
    assert not has_matched(Rule("k", "reasoning", keywords=("prove",)), request(text))


def test_the_expression_is_searched_as_written():
    """The regex is found anywhere, and its case counts unless it says otherwise."""
    rule = Rule("trace", "reasoning", regex=Pattern(r"Traceback \(most recent"))
    assert has_matched(rule, request("see:\nTraceback (most recent call last)"))
    assert not has_matched(rule, request("traceback (most recent call last)"))
    assert has_matched(Rule("trace", "reasoning", regex=Pattern("(?i)TRACEBACK")), request("a traceback"))


def test_a_long_paste_is_searched_at_both_ends_only():
    """Of a last turn beyond the cap the beginning and the end are searched and the middle is not."""
    rule = Rule("k", "reasoning", keywords=("prove",))
    expression = Rule("x", "reasoning", regex=Pattern("prove"))
    filler = "x " * SEARCHED_CHARACTERS
    for each in (rule, expression):
        assert has_matched(each, request(f"prove {filler}"))
        assert has_matched(each, request(f"{filler} prove"))
        assert not has_matched(each, request(f"{filler} prove {filler}"))


def test_a_turn_of_exactly_the_cap_is_searched_whole():
    """A last turn as long as the cap is searched everywhere."""
    half = "x" * (SEARCHED_CHARACTERS // 2 - 3)
    text = f"{half} prove{half}"
    assert len(text) == SEARCHED_CHARACTERS
    assert has_matched(Rule("x", "reasoning", regex=Pattern("prove")), request(text))


@pytest.mark.parametrize(("tokens", "is_match"), [(99, False), (100, True), (150, True), (200, True), (201, False)])
def test_bounds_of_the_prompt_are_inclusive(tokens, is_match):
    """The least and the most prompt tokens are themselves within the bounds."""
    rule = Rule("size", "reasoning", prompt_tokens_min=100, prompt_tokens_max=200)
    assert has_matched(rule, request(tokens=tokens)) is is_match


def test_has_asks_for_all_its_facts():
    """Each fact in `has` must be there; others may be."""
    rule = Rule("has", "reasoning", has=frozenset({"code", "tools"}))
    assert has_matched(rule, request(has=frozenset({"code", "tools", "images"})))
    assert not has_matched(rule, request(has=frozenset({"code"})))


def test_all_conditions_must_hold():
    """A rule with several conditions matches only where every one does."""
    rule = Rule("all", "reasoning", keywords=("fix",), regex=Pattern("Error"), prompt_tokens_min=5, has=frozenset({"code"}))
    code = frozenset({"code"})
    assert has_matched(rule, request("fix this Error", has=code))
    assert not has_matched(rule, request("fix this", has=code))
    assert not has_matched(rule, request("this Error", has=code))
    assert not has_matched(rule, request("fix this Error"))
    assert not has_matched(rule, request("fix this Error", has=code, tokens=4))


def test_the_first_matching_rule_decides():
    """Rules are asked in their order and the first match wins."""
    rules = [Rule("a", "thinker", keywords=("x",)), Rule("b", "direct", keywords=("y",)), Rule("c", "reasoning", keywords=("y",))]
    plan = decide(rules, request("y"))
    assert plan.candidates == (Target(CHAT),)
    assert plan.reasons == (Reason("rules", "b", "direct"),)
    assert plan.decision == "direct"


def test_a_rule_may_name_an_upstream():
    """A rule to an upstream's name counts as the tier of that upstream."""
    plan = decide(Rule("a", "thinker", keywords=("x",)), request("x"))
    assert plan.route == "rules:a;to=thinker"
    assert plan.decision == "reasoning"


def test_a_switchable_upstream_is_switched():
    """Where only a hybrid model can serve the tier its thinking is set."""
    plan = decide(Rule("a", "direct", keywords=("x",)), request("x"), facts(HYBRID))
    assert plan.candidates == (Target(HYBRID, thinking=False),)
    assert plan.decision == "direct"


def test_no_match_is_a_word_without_a_target():
    """Where nothing matches the policy says so and decides nothing."""
    plan = decide(Rule("a", "direct", keywords=("x",)), request("y"))
    assert plan.candidates == ()
    assert plan.reasons == (Reason("rules", "no match", ""),)


def test_a_target_that_nobody_serves_decides_nothing():
    """A match whose target does not exist is told in the reasons, and left to the default."""
    plan = decide(Rule("a", "reasoning", keywords=("x",)), request("x"), facts(CHAT))
    assert plan.candidates == ()
    assert plan.reasons == (Reason("rules", "a, but nobody serves reasoning", ""),)


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (Rule("r", "direct"), "rules.r: no condition at all"),
        (Rule("r", "direct", keywords=()), "rules.r: keywords: none given"),
        (Rule("r", "direct", keywords=(" ", "")), "rules.r: keywords: none given"),
        (Rule("r", "direct", keywords=("x", " ")), "rules.r: keywords: one is empty"),
        (Rule("r", "direct", has=frozenset({"cod"})), "rules.r: has: cod is none of code"),
        (Rule("r", "direct", prompt_tokens_min=5, prompt_tokens_max=4), "rules.r: prompt_tokens: min 5 is above max 4"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule, problem):
    """A rule that could never match, or always would, is a configuration error that names the rule and the condition."""
    with pytest.raises(ConfigError) as caught:
        RulesPolicy([rule])
    assert caught.value.problems[0].startswith(problem)


def test_all_problems_are_told_at_once():
    """Two bad rules give two problems."""
    with pytest.raises(ConfigError) as caught:
        RulesPolicy([Rule("a", "direct", keywords=()), Rule("b", "direct", keywords=())])
    assert len(caught.value.problems) == 2


def test_rules_on_who_asks_when_and_under_which_system_prompt():
    """Tenant, hours, language and system prompt are conditions like the others: all that are given must hold."""
    rule = Rule(
        "rare",
        "direct",
        tenants=frozenset({"alice"}),
        hours=Hours(time(8), time(18)),
        languages=frozenset({"de", "fr"}),
        system=("home work", "homework"),
    )
    prompt = Prompt("Was ist die Hauptstadt von Peru und wie alt ist sie?", system="You help with homework.")
    asked = replace(request(), prompt=prompt, tenant="alice", started_at=9 * 3600.0)
    assert decide(rule, asked).route == "rules:rare;to=chat"
    for other in (
        {"tenant": "bob"},
        {"started_at": 19 * 3600.0},
        {"prompt": replace(prompt, text="What is the capital of Peru and how old is it?")},
        {"prompt": replace(prompt, system="You help with housework.")},
    ):
        assert decide(rule, replace(asked, **other)).candidates == ()


def test_a_language_nobody_knows_is_a_problem():
    """It could never match."""
    with pytest.raises(ConfigError, match=r"rules\.a: language: xx is none of ar, "):
        RulesPolicy([Rule("a", "direct", languages=frozenset({"xx"}))])
