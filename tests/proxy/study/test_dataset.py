"""From raw lines to figures: what is counted, what is not, and that unknown stays unknown."""

import pytest
from study_samples import header, raw_study, reply

from jevons.proxy.study.dataset import Dataset, visible_tokens
from jevons.proxy.study.raw import Judgement, Raw


def dataset(*replies):
    """Of these replies."""
    raw = Raw()
    raw.add(header())
    for one in replies:
        raw.add(one)
    return Dataset(raw)


def test_repetitions_are_means_first():
    """A prompt asked three times weighs as much as one asked once."""
    data = dataset(
        *(reply(repetition=number, joules=joules) for number, joules in enumerate((10.0, 20.0, 30.0))), reply(prompt="p1")
    )
    assert data.cells("plain", 1)["p0"].joules == 20
    assert data.figures("plain", 1).joules.value == 35


def test_only_prompts_that_both_answered_are_paired():
    """A prompt that failed for one arm is in neither side of the difference."""
    data = dataset(reply("plain", "p0"), reply("thinker", "p0"), reply("plain", "p1"), reply("thinker", "p1", outcome="HTTP 500"))
    assert [pair.prompt for pair in data.pairs("plain", "thinker", 1)] == ["p0"]


def test_figures_of_an_arm():
    """Per token from totals, power from the time its requests took, bounds from the replies' own."""
    data = dataset(reply(tokens=100, joules=50.0), reply(prompt="p1", tokens=300, joules=150.0))
    one = data.figures("plain", 1)
    assert one.per_token.value == pytest.approx(0.5)
    assert one.watts == pytest.approx(200 / 4)
    assert one.bounds == (pytest.approx(0.9), pytest.approx(1.1))
    busy = dataset(reply(level=4, seconds=1.0), reply(prompt="p1", level=4, seconds=1.0)).figures("plain", 4)
    assert busy.watts == pytest.approx(100 / (2 / 4))


def test_thinking_is_known_or_not():
    """Counted by the server; none where none was seen; unknown where it was seen and not counted."""
    assert visible_tokens(reply(tokens=100, reasoning_tokens=60)) == 40
    assert visible_tokens(reply(tokens=100, reasoning_tokens=None, reasoning_words=0)) == 100
    assert visible_tokens(reply(tokens=100, reasoning_tokens=None, reasoning_words=30)) is None
    data = dataset(reply(reasoning_tokens=None, reasoning_words=3))
    assert data.figures("plain", 1).reasoning_share is None


def test_joules_per_right_answer_counts_the_wrong_ones_too():
    """All joules of the scored prompts over the right answers; nothing right is unknown, not infinite."""
    data = dataset(reply(score=1.0), reply(prompt="p1", score=0.0), reply(prompt="p2", score=None))
    one = data.figures("plain", 1)
    assert (one.score, one.joules_per_right) == (0.5, 100)
    assert dataset(reply(score=0.0)).figures("plain", 1).joules_per_right is None
    assert dataset(reply()).figures("plain", 1).score is None


def test_a_judge_scores_what_no_check_does():
    """A check's word comes before a judge's."""
    data = dataset(reply(), reply(prompt="p1", score=1.0))
    for prompt in ("p0", "p1"):
        data.raw.add(Judgement("plain", prompt, 0, 1, "judge", 0.5))
    assert data.figures("plain", 1).score == 0.75


def test_order_and_baseline_are_the_studys():
    """Arms as listed, the first is the baseline, unless one is named or has no answers."""
    raw = raw_study(4)
    assert Dataset(raw).arms == ["plain", "thinker"]
    assert Dataset(raw).baseline == "plain"
    named = Raw(headers=[header(study={**header().study, "baseline": "thinker"})], replies=raw.replies)
    assert Dataset(named).baseline == "thinker"
    assert Dataset(raw).categories() == ["ethics", "code"]
    assert Dataset(raw).levels == [1, 8]
    assert Dataset(raw).figures("nobody", 1) is None


def test_the_truth_of_a_made_study_is_found():
    """An arm twice as long at equal joules per token shows as that, and company as eight times cheaper."""
    data = Dataset(raw_study(200))
    plain, thinker, busy = (data.figures(arm, level, resamples=9) for arm, level in (("plain", 1), ("thinker", 1), ("plain", 8)))
    assert plain.per_token.value == pytest.approx(0.5, rel=0.02)
    assert thinker.joules.value / plain.joules.value == pytest.approx(2.0, rel=0.1)
    assert busy.joules.value == pytest.approx(plain.joules.value / 8, rel=0.02)
