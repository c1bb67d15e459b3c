"""A study in a few lines."""

import json

from study_samples import header, raw_study

from jevons.proxy.study.raw import Raw
from jevons.proxy.study.summary import summary_json, summary_lines


def test_lines_begin_with_the_method():
    """Then a line for each arm and level, and for each comparison."""
    lines = summary_lines(raw_study(10))
    assert lines[0] == "method: simulated"
    assert len(lines) == 1 + 4 + 2
    assert lines[-1].startswith("thinker over plain, 8 in flight: energy")


def test_json_has_every_figure():
    """It can be written, and an empty study has no method."""
    found = json.loads(json.dumps(summary_json(raw_study(10), resamples=99)))
    assert [one["arm"] for one in found["arms"]] == ["plain", "thinker"] * 2
    assert set(found["comparisons"][0]["ratios"]) == {"energy", "length", "joules_per_token"}
    assert summary_json(Raw([header()]))["method"] is None
