"""Two studies beside each other."""

import pytest
from study_samples import header, raw_study

from jevons.proxy.errors import JevonsError
from jevons.proxy.study.compare import compare_studies, comparison_json
from jevons.proxy.study.raw import Raw


def test_arms_of_one_name_are_paired_by_prompt():
    """A card that takes half the joules per token shows as half the energy at equal length, at every level."""
    found = compare_studies(raw_study(), raw_study(rate=0.25), None, resamples=99)
    assert [(one.arms, one.level) for one in found] == [
        (("plain",) * 2, 1),
        (("plain",) * 2, 8),
        (("thinker",) * 2, 1),
        (("thinker",) * 2, 8),
    ]
    for one in found:
        assert one.totals.energy.value == pytest.approx(0.5, rel=0.02)
        assert one.totals.length.value == 1
    assert comparison_json(found[0])["ratios"]["length"] == {"value": 1, "low": 1, "high": 1}


def test_two_arms_may_be_named():
    """One arm of the first study against another of the second."""
    found = compare_studies(raw_study(), raw_study(), ("plain", "thinker"), resamples=99)
    assert found[0].totals.energy.value == pytest.approx(2, rel=0.2)


def test_what_cannot_be_compared_is_refused():
    """Other prompts, another method, no arm in common."""
    other = raw_study()
    prompts = Raw([header(prompts_hash="q")], other.replies)
    with pytest.raises(JevonsError, match="different prompts"):
        compare_studies(raw_study(), prompts, None)
    with pytest.raises(JevonsError, match="not of one kind"):
        compare_studies(raw_study(), Raw([header()]), None)
    with pytest.raises(JevonsError, match="no prompt was answered"):
        compare_studies(raw_study(levels=(1,)), raw_study(levels=(2,)), None)
    renamed = Raw([header()], {key: reply for key, reply in other.replies.items() if key[0] == "plain"})
    only = Raw([header()], {key: reply for key, reply in other.replies.items() if key[0] == "thinker"})
    with pytest.raises(JevonsError, match="no arm is in both"):
        compare_studies(renamed, only, None)
