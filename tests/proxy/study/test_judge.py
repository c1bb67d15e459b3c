"""A model as judge: which answers it is given, and what of its words is a score."""

import pytest
from study_samples import header, reply

from jevons.proxy.study.judge import judge_answers, read_score
from jevons.proxy.study.prompts import StudyPrompt
from jevons.proxy.study.proxy_link import ProxyLink
from jevons.proxy.study.raw import Judgement, Raw
from jevons.proxy.study.study_file import JudgeSection

pytest_plugins = ["proxy_fixture"]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Good.\nScore: 7", 0.7),
        ("**Score:** 10", 1.0),
        ("Score: 3, no, score: 8", 0.8),
        ("<think>Score: 1</think>Score: 9", 0.9),
        ("Score: 70", None),
        ("Very good", None),
    ],
)
def test_the_last_score_counts(text, score):
    """From 0 to 1; what is off the scale, or no number, is unknown and not 0."""
    assert read_score(text) == score


async def test_only_answers_without_a_check_are_judged(start_proxy, start_upstream):
    """Those that were kept, ended well, and have no judgement yet; a judge that says no number gives none."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(upstream)
    raw = Raw([header()])
    for one in (
        reply(prompt="p0", answer="<think>secret</think>An answer."),
        reply(prompt="p1", answer="Another.", score=1.0),
        reply(prompt="p2"),
        reply(prompt="p3", answer="x", outcome="HTTP 500"),
        reply(prompt="p4", answer="y"),
        Judgement("plain", "p4", 0, 1, "chat", 0.5),
    ):
        raw.add(one)
    prompts = {f"p{number}": StudyPrompt(f"p{number}", "Why?") for number in range(5)}
    link = ProxyLink(proxy.session, proxy.url, proxy.admin)
    judge = JudgeSection(model="chat", max_tokens=20)
    found = [one async for one in judge_answers(link, judge, prompts, raw)]
    assert found == [Judgement("plain", "p0", 0, 1, "chat", None)]
    [received] = upstream.server.received
    assert b"An answer." in received.body
    assert b"secret" not in received.body


async def test_a_judge_that_is_not_there_gives_no_score(start_proxy, start_upstream):
    """The study stays whole; the score is unknown."""
    proxy = await start_proxy(await start_upstream())
    raw = Raw([header()])
    raw.add(reply(answer="x"))
    link = ProxyLink(proxy.session, proxy.url, proxy.admin)
    prompts = {"p0": StudyPrompt("p0", "Why?")}
    found = [one async for one in judge_answers(link, JudgeSection(model="nobody"), prompts, raw)]
    assert [one.score for one in found] == [None]
