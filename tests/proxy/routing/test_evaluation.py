"""Routers side by side on the same rows."""

from __future__ import annotations

import pytest
from routing_rows import many_rows, write_rows

from jevons.policies.score.trees import shipped
from jevons.proxy.routing.evaluation import IMPUTED, SCORE, Setting, default_routers, differences, judge_all, report
from jevons.proxy.routing.metrics import NAMES
from jevons.proxy.routing.rows import pair_rows, read_rows


def judge(tmp_path, rows, **setting):
    read = read_rows([write_rows(tmp_path / "rows.jsonl", rows)])
    pairs, _ = pair_rows(read, {}, ("small", "thinker:on"))
    chosen = Setting(resamples=20, **setting)
    judged = judge_all(pairs, default_routers(shipped()), chosen)
    return judged, report(judged, read, shipped(), chosen)


def test_the_report_has_the_shape_of_the_contract(tmp_path):
    """Every figure overall and by source has a value with its interval or is null, the baselines' too."""
    _, found = judge(tmp_path, [*many_rows(40), *many_rows(40, seed=2, source="other")])
    assert set(found["by_source"]) == {"own", "other"}
    assert set(found["baselines"]) == {"keywords", "random", "oracle", "always", "never"}
    for part in (found, *found["baselines"].values()):
        for figures in (part["overall"], *part["by_source"].values()):
            assert {"n", *NAMES} <= set(figures)
            assert all(figures[name] is None or set(figures[name]) == {"value", "low", "high"} for name in NAMES)
    assert found["overall"]["n"] == 80
    assert found["overall"]["apgr"]["value"] > 0.6


def test_lengths_that_nobody_knows_save_nothing_known(tmp_path):
    """Without a length the savings are null; made up on request, they say so."""
    rows = many_rows(40)
    for one in rows:
        one["models"]["thinker:on"]["completion_tokens"] = None
    _, unknown = judge(tmp_path, rows)
    assert (unknown["overall"]["tokens_saved"], unknown["overall"]["joules_saved"], unknown["imputed"]) == (None, None, None)
    _, made_up = judge(tmp_path, rows, is_imputed=True)
    assert made_up["overall"]["tokens_saved"] is not None
    assert made_up["imputed"] == IMPUTED


def test_known_lengths_are_counted(tmp_path):
    """Never reasoning saves the difference of the lengths; a price per token turns it into joules."""
    _, found = judge(tmp_path, many_rows(40), joules_per_token=(1.0, 2.0))
    never, always = found["baselines"]["never"]["overall"], found["baselines"]["always"]["overall"]
    assert never["tokens_saved"]["value"] == pytest.approx(0.75)
    assert never["joules_saved"]["value"] == pytest.approx(1 - 100 / 800)
    assert always["tokens_saved"]["value"] == 0
    assert always["calls95"]["value"] == 1


def test_everyday_rows_say_where_they_go(tmp_path):
    """Rows that only tell simple from hard are counted apart."""
    rows = [*many_rows(40), {"prompt": "hello!", "simple": 1}, {"prompt": "Prove that e is irrational.", "simple": 0}]
    _, found = judge(tmp_path, rows)
    assert found["everyday"]["simple"] == {"n": 1, "reasoning": 0.0, "strange": 0.0}
    assert found["everyday"]["hard"]["n"] == 1


def test_leads_are_over_the_others(tmp_path):
    """The first router's lead over each other is given by name."""
    judged, _ = judge(tmp_path, many_rows(40))
    leads = differences(judged, 20)
    assert judged[0].name == SCORE
    assert set(leads) == {"keywords", "random", "oracle"}
    assert leads["random"].value > 0 > leads["oracle"].value
