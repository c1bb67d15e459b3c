"""The shipped studies can be run."""

import pytest

from jevons.proxy.config import Config
from jevons.proxy.errors import JevonsError
from jevons.proxy.study.hosting import proxy_config
from jevons.proxy.study.presets import load_preset, preset_names, preset_summary


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_is_a_study(name, monkeypatch):
    """Every one parses, says in its first line what it is, and has upstreams that the proxy takes."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    study = load_preset(name)
    assert len(preset_summary(name)) > 20
    if study.upstreams is not None:
        upstreams = [{**one, "url": "http://127.0.0.1:8000/v1", "model": "m"} for one in study.upstreams]
        assert Config.model_validate(proxy_config(upstreams)).upstreams
    assert study.section.arms


def test_the_questions_of_the_issue_are_there():
    """Plain against distilled, thinking on and off, efforts, task families, and clouds."""
    assert {"llama-r1", "qwen3-thinking", "gpt-oss-efforts", "task-families", "cloud-estimate", "simulated"} <= set(
        preset_names()
    )


def test_clouds_are_estimates_only(monkeypatch):
    """Every arm in a cloud has a range and says where it comes from; none is measured."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    for arm in load_preset("cloud-estimate").section.arms:
        assert "not public" in arm.estimate.basis
        assert arm.estimate.high_joules_per_token > 10 * arm.estimate.low_joules_per_token


def test_an_unknown_preset_is_refused():
    """With the names of those that there are."""
    with pytest.raises(JevonsError, match="llama-r1"):
        load_preset("llama")
