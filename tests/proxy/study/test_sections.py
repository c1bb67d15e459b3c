"""What the sections say of a study whose truth is known."""

import re

from study_samples import header, raw_study, reply

from jevons.proxy.study.dataset import Dataset
from jevons.proxy.study.document import Bullets, Plot, Table
from jevons.proxy.study.raw import Judgement, Raw
from jevons.proxy.study.sections import (
    arms_section,
    category_section,
    concurrency_section,
    difference_sections,
    finding,
    quality_section,
)

FEW = 99


def tables(blocks):
    """The tables among the blocks."""
    return [block for block in blocks if isinstance(block, Table)]


def test_the_finding_comes_first_and_multiplies():
    """Energy, length and joules per token in one sentence per level, and the product is right to the figures shown."""
    [bullets] = finding(Dataset(raw_study()), FEW)
    assert isinstance(bullets, Bullets)
    assert len(bullets.items) == 2
    energy, length, rate = (
        float(re.search(pattern, bullets.items[0])[1])
        for pattern in (r"took ([\d.]+) times", r"answers ([\d.]+)", r"at ([\d.]+) times the joules")
    )
    assert abs(energy - length * rate) < 0.02
    assert "95 %" in bullets.items[0]


def test_one_arm_is_compared_with_nothing():
    """And says so."""
    raw = raw_study()
    alone = Raw([header()], {key: one for key, one in raw.replies.items() if key[0] == "plain"})
    assert "nothing is compared" in str(finding(Dataset(alone), FEW))
    assert difference_sections(Dataset(alone), FEW) == []


def test_each_arm_has_a_row_at_each_level():
    """Two arms at two levels; thinking is a share, unknown power is n/a."""
    raw = raw_study()
    table = tables(arms_section(Dataset(raw), FEW))[0]
    assert [row[:2] for row in table.rows] == [("plain", "1"), ("thinker", "1"), ("plain", "8"), ("thinker", "8")]
    unknown = Raw([header()])
    unknown.add(reply(seconds=None))
    row = dict(zip(table.head, tables(arms_section(Dataset(unknown), FEW))[0].rows[0], strict=True))
    assert row["W"] == row["seconds"] == "n/a"


def test_differences_are_of_totals_and_typical():
    """Two rows a level, two pictures at the lowest."""
    blocks = difference_sections(Dataset(raw_study()), FEW)
    assert [row[1] for row in tables(blocks)[0].rows] == ["totals", "typical prompt"] * 2
    assert [block.name for block in blocks if isinstance(block, Plot)] == ["pairs-thinker", "waterfall-thinker"]


def test_categories_give_an_interval_or_a_range():
    """Ten prompts have an interval, four have none and show their lowest and highest."""
    many = tables(category_section(Dataset(raw_study(20)), FEW))[0].rows
    few = tables(category_section(Dataset(raw_study(8)), FEW))[0].rows
    assert all("(" in row[5] for row in many)
    assert all("(" not in row[5] and "…" in row[8] for row in few)


def test_company_is_set_against_being_alone():
    """Eight in flight take an eighth of the joules, with an interval; one level has nothing to be set against."""
    rows = tables(concurrency_section(Dataset(raw_study()), FEW))[0].rows
    assert rows[0][4] == "n/a"
    assert rows[1][4].startswith("0.12")
    assert concurrency_section(Dataset(raw_study(levels=(1,))), FEW) == []


def test_quality_counts_what_was_scored():
    """Half the prompts have a check; without any there is no section; a judge is named as such."""
    raw = raw_study(12)
    rows = tables(quality_section(Dataset(raw), FEW))[0].rows
    assert [row[2] for row in rows] == ["6"] * 4
    bare = Raw([header()])
    bare.add(reply())
    assert quality_section(Dataset(bare), FEW) == []
    bare.add(Judgement("plain", "p0", 0, 1, "judge", 0.7))
    assert "scored from 0 to 1 by a model" in str(quality_section(Dataset(bare), FEW))
