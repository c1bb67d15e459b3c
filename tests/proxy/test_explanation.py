"""`jevons explain`: the decision as the proxy would make it, with every policy's word, and nothing sent."""

import pytest
from policy_cases import THINKER
from proxy_client import CHAT

from jevons.proxy.config import Config
from jevons.proxy.errors import BadRequest
from jevons.proxy.explanation import explain_prompt, render

pytest_plugins = ["proxy_fixture"]

RULES = [{"type": "rules", "rules": [{"name": "proofs", "when": {"keywords": ["prove"]}, "to": "reasoning"}]}]
UPSTREAMS = [
    {"name": "chat", "url": "http://chat/v1", "model": "chat-model"},
    {"name": "thinker", "url": "http://thinker/v1", "model": "thinker-model", "reasoning": "always"},
]
CONFIG = Config.model_validate({"upstreams": UPSTREAMS, "policies": RULES})


def explain(prompt, *, model="auto", tier="auto", config=CONFIG):
    """The report on one prompt."""
    return explain_prompt(config, prompt, model=model, tier=tier)


def test_a_decision_is_told_with_every_word():
    """Also those of policies that had nothing to say."""
    assert explain("Prove it: ```x```") == {
        "decision": "reasoning",
        "route": "rules:proofs;to=thinker",
        "candidates": [{"upstream": "thinker", "model": "thinker-model", "thinking": None}],
        "words": [
            {"policy": "caller", "word": "no match", "to": None},
            {"policy": "rules", "word": "proofs", "to": "reasoning"},
            {"policy": "limits", "word": "fits", "to": None},
        ],
        "prompt": {"tokens": 5, "has": ["code"]},
        "error": None,
    }


def test_the_callers_tier_and_model_are_taken():
    """As `--tier` and `--model` give them."""
    assert explain("Prove it", tier="direct")["route"] == "caller:x-jevons-tier=direct;to=chat"
    assert explain("Hello", model="thinker")["route"] == "caller:model;to=thinker"


def test_a_rejection_is_told():
    """What the client would be told, and no candidates."""
    report = explain("Hello", model="gpt-5")
    assert (report["decision"], report["route"], report["candidates"]) == ("rejected", None, [])
    assert "'gpt-5' does not exist" in report["error"]
    assert render(report).splitlines()[-1].split(None, 1) == ["refused", report["error"]]


def test_a_tier_that_is_none_is_refused():
    """As the proxy refuses the header."""
    with pytest.raises(BadRequest, match="x-jevons-tier"):
        explain("Hello", tier="cheap")


def test_a_prompt_that_is_no_text_is_refused():
    """As a shell gives one where its bytes are not UTF-8; the proxy refuses it too."""
    with pytest.raises(BadRequest, match="surrogate"):
        explain("caf\udce9")


def test_it_reads_well():
    """A line per word, then where it goes."""
    assert render(explain("Prove it")).splitlines() == [
        "      caller  no match",
        "       rules  proofs → reasoning",
        "      limits  fits",
        "     goes to  thinker (thinker-model)",
    ]


def test_the_next_in_line_is_told_too():
    """Where there is one, for the case that the first cannot be reached."""
    section = {"url": "http://x/v1", "model": "m"}
    config = Config.model_validate({"upstreams": [{"name": "a", **section}, {"name": "b", **section}]})
    assert render(explain("Hello", model="m", config=config)).splitlines()[-2:] == ["     goes to  a (m)", "        else  b (m)"]


@pytest.mark.parametrize("prompt", ["Prove it", "Hello", "", "caf\xe9 ☕"])
async def test_the_proxy_decides_alike(start_upstream, start_proxy, prompt):
    """The route of the real request is the one that was explained."""
    thinker = {"url": (await start_upstream()).url, "name": THINKER.name, "reasoning": "always"}
    proxy = await start_proxy(await start_upstream(), thinker, policies=RULES)
    reply = await proxy.post(CHAT, {"messages": [{"role": "user", "content": prompt}], "max_tokens": 2})
    assert reply.headers["x-jevons-route"] == explain(prompt, config=proxy.app.config)["route"]
