"""The article's page: its numbers and the simulation's beside each other."""

import pytest

from jevons.proxy.study.article import META, R1, simulate_article
from jevons.proxy.study.article_page import article_document, article_json, mean_joules, write_article
from jevons.proxy.study.document import as_markdown
from jevons.proxy.study.hardware import load_hardware


@pytest.fixture(scope="module")
def study():
    """Two levels on one kind of cards."""
    return simulate_article(levels=(1, 8), hardware=load_hardware()[2:3])


def test_the_page_shows_both(study):
    """+87 %, +41 % and 17,800 J beside what came out, by how much it is off, and where it comes from."""
    text = as_markdown(article_document(study))
    assert "**method: simulated**" in text
    assert "| 40 prompts, R1 over Llama: energy, 1 in flight | +87 % | +87 % |" in text
    assert "| the lie prompt, R1 over Llama: energy | +41 % | +41 % |" in text
    assert "| the lie prompt, R1, joules | 17,800 | 37," in text
    assert "| … over the article's | 1 | 2.1" in text
    assert "MIT Technology Review" in text
    assert "2505.06371" in text


def test_the_page_is_written_with_its_pictures(study, tmp_path):
    """Every picture that the page shows is there."""
    document = write_article(study, tmp_path)
    text = (tmp_path / "article.md").read_text()
    assert len(document.plots) == 3
    for plot in document.plots:
        assert f"(article/{plot.name}.svg)" in text
        assert (tmp_path / "article" / f"{plot.name}.svg").exists()


def test_json_has_the_same(study):
    """The figures of the page, for programs."""
    found = article_json(study)
    assert found["method"] == "simulated"
    level = found["runs"][0]["levels"][0]
    assert level["joules_per_response"] == {arm: mean_joules(study.runs[0], arm, 1) for arm in (META, R1)}
    assert found["runs"][0]["levels"][1]["table_joules_per_token"] == 3.75871
