"""A policy of one's own: the page shows the one that is tested, and it does what the page says."""

import re

from policy_cases import PAIR, request
from source_tree import ROOT

from jevons.proxy.config_file import parse_config
from jevons.proxy.policy_factory import make_chain

TEXT = """
upstreams:
  - {name: chat, url: "http://chat/v1", model: a}
  - {name: thinker, url: "http://thinker/v1", model: b, reasoning: always}
policies:
  - {type: "plug_in_example:LongNight", options: {until_hour: 5}}
default: reasoning
"""


def test_it_decides_like_any_other():
    """At four it is night, at five it is day; its word is among the others."""
    chain = make_chain(parse_config(TEXT))
    assert chain.names == ("caller", "long-night", "default", "limits")
    assert chain.decide(request(started_at=4.9 * 3600), PAIR).plan.route == "long-night:night;to=chat"
    day = chain.decide(request(started_at=5.0 * 3600), PAIR)
    assert day.plan.route == "default:reasoning;to=thinker"
    assert "long-night:day" in [str(word) for word in day.words]


def test_as_a_shadow_it_only_speaks():
    """Which is how a new policy is tried."""
    chain = make_chain(parse_config(TEXT.replace("options:", "shadow: true, options:")))
    decision = chain.decide(request(started_at=0.0), PAIR)
    assert decision.plan.route == "default:reasoning;to=thinker"
    assert str(decision.words[-1]) == "shadow long-night:night -> direct"


def test_the_page_shows_this_very_class():
    """Line for line."""
    source = (ROOT / "tests/plug_in_example.py").read_text()
    shown = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/routing.md").read_text(), re.DOTALL | re.MULTILINE)
    assert any(block.strip() == source.partition("\n\n")[2].strip() for block in shown)
