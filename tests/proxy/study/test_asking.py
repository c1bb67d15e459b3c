"""A request of a study, and its raw line."""

import pytest

from jevons.proxy.study.asking import ask, make_question, settled
from jevons.proxy.study.checkers import WordsCheck
from jevons.proxy.study.prompts import StudyPrompt
from jevons.proxy.study.proxy_link import ProxyLink
from jevons.proxy.study.raw import OK
from jevons.proxy.study.study_file import parse_study

pytest_plugins = ["proxy_fixture"]

PROMPTS = {
    "a": StudyPrompt("a", "Hello?", category="talk"),
    "b": StudyPrompt("b", "Hello?", check=WordsCheck(("never-said",))),
}
STUDY = """\
simulated: true
system: Be brief.
temperature: 0.5
max_tokens: 60
seed: 5
arms:
  - {name: plain, model: chat}
  - {name: "on", model: chat, thinking: true, effort: high, body: {top_p: 0.9}}
  - {name: imposed, model: chat, impose: {mean_tokens: 30, sigma: 0.1, ignore_eos: true}}
  - {name: cloud, model: chat, estimate: {low_joules_per_token: 0.1, high_joules_per_token: 10, basis: guess}}
"""
SECTION = parse_study(STUDY, environment={}).section


def question(arm, prompt="a", repetition=0):
    return make_question(SECTION, PROMPTS, (arm, prompt, repetition, 1))


def test_the_body_is_what_the_study_says():
    """System and user turn, sampling, a seed that follows the repetition; thinking is the proxy's header, not the body's."""
    plain = question("plain", repetition=2)
    assert plain.body == {
        "model": "chat",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}],
        "max_tokens": 60,
        "temperature": 0.5,
        "seed": 7,
    }
    assert plain.tier is None
    on = question("on")
    assert (on.tier, on.body["reasoning_effort"], on.body["top_p"]) == ("reasoning", "high", 0.9)


def test_an_imposed_length_is_the_limit():
    """The same for the same prompt, and never above the study's own."""
    one = question("imposed")
    assert one.body["max_tokens"] == one.imposed_tokens == question("imposed", repetition=1).imposed_tokens <= 60
    assert one.body["ignore_eos"] is True


@pytest.fixture
async def line(start_proxy, start_upstream):
    """Ask a real proxy, and make the raw line."""
    proxy = await start_proxy(await start_upstream())
    link = ProxyLink(proxy.session, proxy.url, proxy.admin)

    async def make(one, *, keeps_answer=False):
        return await settled(link, one, *await ask(link, one, 30.0), keeps_answer=keeps_answer)

    return make


async def test_a_line_has_all_that_is_known(line):
    """Tokens and joules of the proxy, words and times of the client; the answer only where it is to be kept."""
    reply = await line(question("plain"))
    assert (reply.outcome, reply.category, reply.method, reply.model) == (OK, "talk", "simulated", "simulated-8b")
    assert reply.low < reply.joules < reply.high
    assert reply.completion_tokens == 60
    assert reply.words > 10
    assert reply.answer is None
    assert reply.score is None
    kept = await line(question("plain", "b"), keeps_answer=True)
    assert kept.score == 0.0
    assert len(kept.answer) > 20


async def test_an_estimate_is_tokens_times_a_range(line):
    """Joules are the geometric middle, the method says what it is, and what was read here is left aside."""
    reply = await line(question("cloud"))
    assert reply.method == "estimated"
    assert (reply.low, reply.joules, reply.high) == pytest.approx((6.0, 60.0, 600.0))


async def test_a_failure_is_a_line_too(line):
    """With why it failed, and no figure."""
    one = make_question(
        SECTION.model_copy(update={"arms": (SECTION.arms[0].model_copy(update={"model": "nobody"}),)}),
        PROMPTS,
        ("plain", "a", 0, 1),
    )
    reply = await line(one)
    assert reply.outcome.startswith("HTTP 404")
    assert not reply.is_usable
