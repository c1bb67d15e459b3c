"""From the configuration to policies: order, conditions and the default arrive as they were written."""

import pytest
from msgspec.structs import replace
from policy_cases import CHAT, PAIR, THINKER, request

from jevons.proxy.config import Config
from jevons.proxy.exchange import Plan, Prompt
from jevons.proxy.policy_factory import Memory, make_chain

UPSTREAMS = [
    {"name": "chat", "url": "http://chat/v1", "model": "chat-model"},
    {"name": "thinker", "url": "http://thinker/v1", "model": "thinker-model", "reasoning": "always"},
]


def chain(*policies, **config):
    """The chain of a configuration with these policies."""
    return make_chain(Config.model_validate({"upstreams": UPSTREAMS, "policies": policies, **config}))


def rules(*conditions, to="thinker"):
    """A policy with one rule per condition, called `rule-0` and so on."""
    listed = [{"name": f"rule-{number}", "when": when, "to": to} for number, when in enumerate(conditions)]
    return {"type": "rules", "rules": listed}


def route(made, asked):
    """Where a request goes and why."""
    plan = made.decide(asked, PAIR).verdict
    assert isinstance(plan, Plan)
    return plan.route


def test_no_policies_are_the_caller_the_default_and_the_limits():
    """These are there without being listed."""
    assert chain().names == ("caller", "default", "limits")
    assert route(chain(), request()) == "default:direct;to=chat"
    assert route(chain(default="thinker"), request()) == "default:thinker;to=thinker"


def test_policies_keep_their_order_and_the_caller_stands_first():
    """Listed last or not at all."""
    assert chain(rules({"has": ["code"]}), {"type": "caller"}).names == ("caller", "rules", "default", "limits")


@pytest.mark.parametrize(
    ("when", "hit", "miss"),
    [
        ({"keywords": ["prove"]}, request("Prove it"), request("Improve it")),
        ({"regex": "^why\\b"}, request("why not"), request("not why")),
        ({"prompt_tokens": {"min": 100}}, request(tokens=100), request(tokens=99)),
        ({"prompt_tokens": {"max": 100}}, request(tokens=100), request(tokens=101)),
        ({"prompt_tokens": {"min": 5, "max": 7}}, request(tokens=6), request(tokens=8)),
        ({"has": ["code", "tools"]}, request(has=frozenset({"code", "tools"})), request(has=frozenset({"code"}))),
        ({"keywords": ["prove"], "prompt_tokens": {"min": 100}}, request("prove", tokens=100), request("prove", tokens=99)),
    ],
)
def test_every_condition_arrives(when, hit, miss):
    """A rule holds where all of its conditions do, and its name is the reason."""
    made = chain(rules(when))
    assert route(made, hit) == "rules:rule-0;to=thinker"
    assert route(made, miss) == "default:direct;to=chat"


def test_the_first_rule_that_holds_decides():
    """Rules keep their order, and so do two policies of rules."""
    made = chain(rules({"keywords": ["a"]}, {"keywords": ["b"]}), rules({"keywords": ["c"]}, to="chat"))
    assert route(made, request("b a")) == "rules:rule-0;to=thinker"
    assert route(made, request("b")) == "rules:rule-1;to=thinker"
    assert route(made, request("c")) == "rules:rule-0;to=chat"


def test_the_upstreams_of_the_test_are_those_of_the_configuration():
    """So that the routes above are about both."""
    assert [section["name"] for section in UPSTREAMS] == [CHAT.name, THINKER.name]


def test_limits_keep_their_own_order():
    """Whatever that of the file: what moves a request comes before what sees whether it may go there; plug-ins first."""
    made = chain(
        {"type": "thinking"},
        {"type": "fallback"},
        {"type": "budget", "budgets": [{"name": "day", "joules": 1}]},
        {"type": "session"},
        {"type": "escalate"},
    )
    assert made.names == ("caller", "default", "session", "budget", "fallback", "limits", "thinking", "escalate")
    assert made.reviews
    assert made.needs_costs


def test_the_options_arrive():
    """The thinking's needs at the limits, the fallback's order, the session's patience."""
    memory = Memory()
    config = Config.model_validate(
        {
            "upstreams": UPSTREAMS,
            "policies": [{"type": "thinking", "needs_tokens": 50}, {"type": "fallback", "to": ["chat"]}],
            "default": "reasoning",
        }
    )
    made = make_chain(config, memory)
    plan = made.decide(request(max_tokens=49), PAIR).plan
    assert plan.route == "limits:max_tokens;to=chat"
    plan = made.decide(request(max_tokens=50), PAIR).plan
    assert [target.upstream.name for target in plan.candidates] == ["thinker", "chat"]


def test_what_policies_remember_outlives_their_chain():
    """A reload makes a new chain on the same memory."""
    memory = Memory()
    config = Config.model_validate({"upstreams": UPSTREAMS, "policies": [{"type": "session"}], "default": "reasoning"})
    first = make_chain(config, memory)
    asked = request("Prove it", session="s")
    first.admit(asked, first.decide(asked, PAIR).plan, PAIR)
    second = make_chain(config.model_copy(update={"default": "direct"}), memory)
    assert second.decide(asked, PAIR).plan.route == "session:keeps its tier;to=thinker"


def test_rare_conditions_arrive():
    """Those on who asks, when and in which language."""
    made = chain(
        rules({"tenant": ["alice"], "language": ["de"], "system": ["homework"], "hours": {"after": "08:00", "before": "18:00"}})
    )
    prompt = Prompt("Was ist das und wie geht es?", system="Help with homework")
    asked = replace(request(), prompt=prompt, tenant="alice", started_at=10 * 3600.0)
    assert route(made, asked) == "rules:rule-0;to=thinker"
    assert route(made, replace(asked, started_at=20 * 3600.0)) == "default:direct;to=chat"
