"""The sections of policies: what they take, and what is wrong with them by line and column."""

import textwrap
from datetime import time

import pytest

from jevons.proxy.config_file import parse_config
from jevons.proxy.config_policies import PLUG_IN
from jevons.proxy.errors import ConfigError

UPSTREAMS = """
upstreams:
  - {name: chat, url: "http://chat/v1", model: a}
  - {name: thinker, url: "http://thinker/v1", model: b, reasoning: always}
  - {name: hybrid, url: "http://hybrid/v1", model: c, reasoning: switchable}
policies:
"""


def read(policies, **options):
    """The configuration with these policies, which begin on line 7."""
    return parse_config(UPSTREAMS + textwrap.indent(textwrap.dedent(policies).strip(), "  ") + "\n", **options)


def problems(policies):
    """What is wrong with them."""
    with pytest.raises(ConfigError) as caught:
        read(policies)
    return caught.value.problems


def test_every_policy_with_its_options():
    """As docs/routing.md shows them."""
    config = read(
        """
        - type: rules
          rules:
            - name: nights
              when: {hours: {after: "22:00", before: 06:00, days: [fri], zone: Europe/Berlin}, tenant: [alice], language: [de]}
              to: direct
            - {name: tutors, when: {system: [homework]}, to: reasoning}
        - {type: gain, value_joules: 2000, price: {carbon_gco2e_per_kwh: 300, power_cap_watts: 5600, queue_requests: 32}}
        - {type: session, idle_seconds: 600}
        - type: budget
          budgets:
            - {name: team, joules: 5e6}
            - {name: burst, joules: 1e5, per: key, window: minute, then: queue, tenants: [alice]}
        - {type: thinking, level: low, upstreams: {hybrid: off, thinker: 4000}}
        - {type: escalate, on: [json, tools], mean_logprob_below: -1.5}
        - {type: fallback, to: [hybrid]}
        """
    )
    rules, gain, session, budget, thinking, escalate, fallback = config.policies
    hours = rules.rules[0].when.hours
    assert (hours.after, hours.before, str(hours.zone)) == (time(22), time(6), "Europe/Berlin")
    assert gain.price.queue_requests == 32
    assert session.idle_seconds == 600
    assert [(each.per, each.window, each.then) for each in budget.budgets] == [
        ("tenant", "day", "downgrade"),
        ("key", "minute", "queue"),
    ]
    assert (thinking.level, thinking.upstreams) == ("low", {"hybrid": "off", "thinker": 4000})
    assert (escalate.on, fallback.to) == (("json", "tools"), ("hybrid",))


def test_an_unquoted_time_is_a_time():
    """YAML takes 18:00 for a number of minutes."""
    config = read("- {type: rules, rules: [{name: a, when: {hours: {after: 18:30}}, to: direct}]}")
    assert config.policies[0].rules[0].when.hours.after == time(18, 30)


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        (
            "- {type: sesion}",
            (
                "7:12: policies.0.type: must be one of rules, caller, difficulty, gain, session, budget, thinking, "
                f"escalate, fallback, {PLUG_IN}, did you mean session?"
            ),
        ),
        ("- {idle: 3}", "7:5: policies.0.type: missing key"),
        ("- {type: session, idle: 3}", "7:21: policies.0.idle: unknown key, did you mean idle_seconds?"),
        ("- {type: gain}", "7:5: policies.0.value_joules: missing key"),
        ("- {type: budget, budgets: []}", "7:29: policies.0.budgets: must not be empty"),
        ("- {type: budget, budgets: [{name: a, joules: 0}]}", "7:48: policies.0.budgets.0.joules: must be greater than 0.0"),
        (
            "- {type: budget, budgets: [{name: a, joules: 1, window: weak}]}",
            "7:59: policies.0.budgets.0.window: must be one of minute, hour or day",
        ),
        (
            "- {type: thinking, upstreams: {chat: low}}",
            "7:34: policies.0.upstreams.chat: its reasoning is never, so there is nothing to set",
        ),
        (
            "- {type: thinking, upstreams: {thinker: off}}",
            "7:43: policies.0.upstreams.thinker: its reasoning is always: it cannot be switched off",
        ),
        (
            "- {type: thinking, upstreams: {hybird: low}}",
            "7:34: policies.0.upstreams.hybird: names no upstream, did you mean hybrid?",
        ),
        ("- {type: fallback, to: [chat, hybird]}", "7:33: policies.0.to.1: names no upstream, did you mean hybrid?"),
        ("- {type: escalate, mean_logprob_below: 1}", "7:42: policies.0.mean_logprob_below: must be at most 0.0"),
        (
            "- {type: rules, rules: [{name: a, when: {hours: {zone: Mars}}, to: direct}]}",
            "7:58: policies.0.rules.0.when.hours.zone: must be a time zone that this system knows, such as Europe/Berlin",
        ),
        (
            "- {type: rules, rules: [{name: a, when: {hours: {after: noon}}, to: direct}]}",
            "7:59: policies.0.rules.0.when.hours.after: must be a time of the day such as 08:00",
        ),
        ("- {type: session}\n- {type: session}", "8:12: policies.1.type: session is policies.0 already"),
        ('- {type: "nowhere.at_all:Policy"}', "7:5: policies.0: cannot be imported: No module named 'nowhere'"),
        ('- {type: "json:NoClass"}', "7:5: policies.0: cannot be imported: json has no class NoClass"),
        ('- {type: "json:JSONDecoder"}', "7:5: policies.0: cannot be made: a policy has a `name` and a method `decide`"),
    ],
)
def test_problems_are_named_where_they_stand(policies, problem):
    """With the file, the line, the column and the path."""
    assert f"config.yaml:{problem}" in problems(policies)


def test_a_plug_ins_wrong_option_is_named():
    """In the words of its constructor."""
    (problem,) = problems('- {type: "plug_in_example:LongNight", options: {hour: 3}}')
    assert problem.startswith("config.yaml:7:5: policies.0: cannot be made: ")
    assert "unexpected keyword argument 'hour'" in problem


def test_the_holdout_is_a_small_share():
    """Half of the requests at most, and not none."""
    config = read("[]")
    assert config.holdout is None
    assert parse_config(UPSTREAMS.replace("policies:", "holdout: {share: 0.01}")).holdout.at_once == 1
    for share in ("0", "0.6"):
        with pytest.raises(ConfigError, match=r"holdout\.share: must be"):
            parse_config(UPSTREAMS.replace("policies:", f"holdout: {{share: {share}}}"))
