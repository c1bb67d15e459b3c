"""Tests of the page and the data."""

from datetime import UTC, datetime

import msgspec
import pytest

from jevons.proxy.bench.attribution.methods import METHODS
from jevons.proxy.bench.attribution.report import Report, markdown, results_json
from jevons.proxy.bench.attribution.study import Row, Score, Study
from jevons.proxy.bench.attribution.workloads import WORKLOADS
from jevons.proxy.bench.machine import Machine


@pytest.fixture
def report():
    scores = {
        method.name: Score([0.004, 0.01, 0.2] if method.is_ours else [0.3, 0.6, 14.0], charged=102.0, true=100.0)
        for method in METHODS
    }
    scores["fitted"].half_widths, scores["fitted"].held, scores["fitted"].residual = [0.05, 0.06], 1.8, 2e-15
    machine = Machine("a processor", 2, "Linux", "Debian", "3.11")
    study = Study([Row(WORKLOADS[0], 3, scores, seeds=[1, 2])], 61.0)
    return Report(study, "jevons bench attribution", machine, datetime(2026, 1, 2, 3, 4, tzinfo=UTC))


def test_the_page_has_a_row_per_workload(report):
    """Errors of every method, ours in bold; a factor where a percentage says nothing."""
    page = markdown(report)
    [line] = [line for line in page.splitlines() if line.startswith(f"| {WORKLOADS[0].title}") and "**" in line]
    assert "**1.0 % / 1.0 %**" in line
    assert "60 % / 60 %" in line
    assert "simulated" in page


def test_the_page_has_the_bounds(report):
    """Coverage and width of ours, the sum and conservation; what is not known is said so."""
    lines = [line for line in markdown(report).splitlines() if line.startswith(f"| {WORKLOADS[0].title}")]
    assert lines[1] == f"| {WORKLOADS[0].title} | 90 % | 5.0 % | n/a | n/a | +2.0 % | 2e-15 |"


def test_the_plot_is_shown_where_there_is_one(report):
    """By its file's name."""
    assert "](attribution.svg)" in markdown(report, plot="attribution.svg")
    assert "](" not in markdown(report)


def test_the_data_is_all_of_it(report):
    """JSON with every score; None where there is none."""
    data = msgspec.json.decode(results_json(report))
    methods = data["workloads"]["mixed"]["methods"]
    assert methods["fitted"] == {
        "median_error": 0.01,
        "p95_error": 0.01,
        "shift": 0.02,
        "coverage": 0.9,
        "half_width": 0.05,
        "residual": 2e-15,
    }
    assert methods["wall-time"]["coverage"] is None
    assert data["workloads"]["mixed"]["seeds"] == [1, 2]


def test_the_page_tells_the_seeds(report):
    """Those of most rows, and by name those that have others."""
    scores = report.study.rows[0].scores
    assert "seeds 1 to 2\n" in markdown(report)
    report.study.rows.append(Row(WORKLOADS[2], seeds=[1, 2, 3], scores=scores))
    report.study.rows.append(Row(WORKLOADS[1], seeds=[1, 2], scores=scores))
    assert f"seeds 1 to 2, of *{WORKLOADS[2].title}* 1 to 3\n" in markdown(report)
    report.study.rows[:] = [Row(WORKLOADS[0], seeds=[7], scores=scores)]
    assert "seeds 7\n" in markdown(report)
