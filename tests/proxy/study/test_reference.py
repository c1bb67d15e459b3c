"""The public figures that are shipped, and which of them stand beside one's own."""

import pytest

from jevons.proxy.study.reference import batch_curve, citation, gpu_family, load_article, load_rows, nearest

H100 = ["NVIDIA H100 80GB HBM3"]


def test_the_table_is_whole():
    """All rows are there, with whom to cite, and joules per request that follow from the other columns."""
    rows = load_rows()
    assert len(rows) == 879
    assert "2505.06371" in citation()
    for row in rows:
        assert row.joules_per_request == pytest.approx(row.joules_per_token * row.output_tokens, rel=0.02)


def test_the_512_joules_are_a_row():
    """The article's mean response is the row of eight A100 at batch 192."""
    row = next(one for one in load_rows() if one.joules_per_request == 512.84)
    assert (row.hardware, round(row.batch)) == ("8 x A100-SXM4-40GB", 192)
    assert [one.joules_per_request for one in batch_curve(row)][:1] == [1226.25]


@pytest.mark.parametrize(
    ("model", "devices", "batch", "expected"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", H100, 190, ("meta-llama/Llama-3.1-70B-Instruct", "H100", 192)),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", H100, 1, ("8B", "H100", 8)),
        ("Qwen/Qwen3-8B", ["NVIDIA B200"], 128, ("Qwen/Qwen3-8B", "B200", 128)),
    ],
)
def test_the_nearest_row(model, devices, batch, expected):
    """Size first, the very model where it is there, then the card, then the batch."""
    row = nearest(model, devices, batch)
    name, gpu, at = expected
    assert name in row.model
    assert row.gpu == gpu
    assert row.batch == pytest.approx(at, rel=0.02)


def test_a_name_without_a_size_has_no_neighbour():
    """Nothing is said to be near a model whose size nobody knows."""
    assert nearest("o1", H100, 1) is None


def test_cards_are_known_by_family():
    """An H200 is an H100 with more memory; an unknown card is none."""
    assert gpu_family("NVIDIA H200") == "H100"
    assert gpu_family("A100-SXM4-40GB") == "A100"
    assert gpu_family("NVIDIA RTX A1000") is None


def test_the_articles_figures_are_there():
    """17,800 J, +41 %, +87 % and 512 J, with their source."""
    article = load_article()
    assert "MIT Technology Review" in article.source
    assert [one.joules for one in article.figures if one.joules] == [17800, 512]
    assert [one.energy_ratio for one in article.figures if one.energy_ratio] == [1.41, 1.87]
