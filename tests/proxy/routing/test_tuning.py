"""Fitting the score to labels of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from routing_rows import many_rows

from jevons.policies.score.trees import shipped
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError, JevonsError
from jevons.proxy.routing.training import as_trees
from jevons.proxy.routing.tuning import LEAST_LABELS, LEAST_LABELS_REFIT, Label, read_labels, shortfall, snippet, summary, tune

UPSTREAMS = """
upstreams:
  - {name: chat, url: "http://127.0.0.1:8000/v1", model: small}
  - {name: thinker, url: "http://127.0.0.1:8001/v1", model: large, reasoning: always}
"""


def labels(count: int) -> list[Label]:
    return [
        Label(one["prompt"], one["models"]["small"]["correct"], one["models"]["thinker:on"]["correct"])
        for one in many_rows(count)
    ]


def test_both_forms_of_a_label_are_read(tmp_path):
    """How right each answer was, or simply whether reasoning was needed."""
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt": "a", "direct": 0.25, "reasoning": 1}\n\n{"prompt": "b", "needs_reasoning": true}\n')
    assert [(one.direct, one.reasoning, one.is_needed) for one in read_labels(path)] == [(0.25, 1, True), (0, 1, True)]


def test_every_bad_label_is_named(tmp_path):
    """All problems come at once, each with its file and line."""
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"prompt": 1}\n{"prompt": "a"}\n{"prompt": "a", "direct": 2, "reasoning": 1}\n{\n{"prompt": "a", "needs_reasoning": 3}\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_labels(path)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [f"{path}:{line}" for line in range(1, 6)]
    with pytest.raises(ConfigError, match=r"none\.jsonl"):
        read_labels(tmp_path / "none.jsonl")


@pytest.mark.parametrize(("refits", "least"), [(False, LEAST_LABELS), (True, LEAST_LABELS_REFIT)])
def test_too_few_labels_are_refused(refits, least):
    """It says how many more are needed, and of which kind."""
    assert f"{least} are needed, 1 more" in (shortfall(labels(least - 1), refits=refits) or "")
    assert shortfall(labels(least), refits=refits) is None
    assert "only in 0 labels reasoning was needed: 20 are needed" in (shortfall([Label("a", 1, 1)] * least, refits=refits) or "")
    with pytest.raises(JevonsError, match="too few"):
        tune(labels(least - 1), shipped(), refits=refits)


def test_a_threshold_keeps_what_was_asked():
    """The least calls that keep the wanted share of reasoning's accuracy, as YAML that the proxy takes."""
    tuned = tune(labels(120), shipped(), refits=False, kept_share=0.9)
    assert tuned.artefact is None
    assert 0.9 <= tuned.chosen.accuracy < 1
    assert 0 < tuned.chosen.calls < 1
    config = parse_config(UPSTREAMS + snippet(tuned, None), folder=Path.cwd(), environment={})
    assert config.policies[0].threshold == tuned.threshold


def test_refitted_trees_can_be_configured(tmp_path):
    """Own trees beat chance on labels that they have not seen, and the proxy takes the file."""
    tuned = tune(labels(LEAST_LABELS_REFIT), shipped(), refits=True)
    assert tuned.figures["apgr"].value > 0.6
    assert as_trees(tuned.artefact).threshold == tuned.threshold
    place = tmp_path / "my-difficulty.json"
    place.write_text(json.dumps(tuned.artefact))
    config = parse_config(UPSTREAMS + snippet(tuned, place), folder=tmp_path, environment={})
    assert config.policies[0].read_model().threshold == tuned.threshold
    assert summary(tuned)["refitted"] is True


def test_a_file_that_is_no_score_is_refused(tmp_path):
    """The configuration names the line of a model that cannot be used, and why."""
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ConfigError, match="format"):
        parse_config(UPSTREAMS + "policies: [{type: difficulty, model: other.json}]\n", folder=tmp_path, environment={})
