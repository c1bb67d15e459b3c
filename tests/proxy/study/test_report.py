"""The report of a study as files; its sections are tested beside."""

from study_samples import header, raw_study

from jevons.proxy.study.raw import Raw
from jevons.proxy.study.report import make_report, write_report


def test_a_report_is_a_page_a_text_and_pictures(tmp_path):
    """Both say the same headings; every picture of the text is a file that carries its own style."""
    document = write_report(raw_study(10), tmp_path)
    html, text = (tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()
    for plot in document.plots:
        assert f"(plots/{plot.name}.svg)" in text
        assert "<style>" in (tmp_path / "plots" / f"{plot.name}.svg").read_text()
    assert {plot.name for plot in document.plots} == {"distributions", "pairs-thinker", "waterfall-thinker", "concurrency"}
    for heading in ("The arms", "thinker against plain", "By category", "Joules per right answer", "Beside public figures"):
        assert f"## {heading}" in text
        assert f"<h2>{heading}</h2>" in html
    assert "method: simulated" in text


def test_a_study_without_an_answer_says_so():
    """No figures are made up where there are none."""
    text = str(make_report(Raw([header()])).blocks)
    assert "No request ended with a known energy" in text
    assert "The arms" not in text
