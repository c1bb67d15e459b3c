"""The results as data and as a page, with what a reader must know before believing a figure."""

from dataclasses import replace

import msgspec
import pytest
from bench_world import measurement, run_of, visit

from jevons.proxy.bench.machine import Cores
from jevons.proxy.bench.report import markdown, notes, results_json, significant


@pytest.fixture
def run():
    return run_of(
        *(
            one
            for number in (1, 2)
            for one in (
                visit("direct", number, measurement("calm", p50=100.0, cpu=None)),
                visit("jevons", number, measurement("request", cpu=0.030 * number), measurement("calm", p50=500.0)),
                visit("nginx", number, measurement("request", cpu=0.010 * number), measurement("calm", p50=300.0)),
            )
        )
    )


def test_the_page_has_the_medians_and_the_spread(run):
    """Each figure is a row, each subject a column; in brackets the lowest and the highest round."""
    page = markdown(run, "jevons bench proxy")
    assert "| JSON replies, 32 connections, µs CPU per request | 45.0 (30.0 … 60.0) | 15.0 (10.0 … 20.0) |" in page
    assert "| added latency, 50 requests per second, p50, ms | 0.40 (0.40 … 0.40) | 0.20 (0.20 … 0.20) |" in page
    assert "Without a proxy a reply takes 0.10 (0.10 … 0.10) ms in the median." in page


def test_the_page_has_the_ratios(run):
    """To each reference that was measured, for everybody else."""
    page = markdown(run, "jevons bench proxy")
    assert "| JSON replies, 32 connections | 3.00 (3.00 … 3.00) |" in page.split("## Ratio to nginx")[1]
    assert "vllm-router" not in page


def test_the_page_says_where_and_when(run):
    """Date, command, machine, cores and versions; and the plot where there is one."""
    page = markdown(run, "jevons bench proxy --rounds 2", plot="proxy.svg")
    assert "2026-01-02 03:04 UTC, `jevons bench proxy --rounds 2`" in page
    assert "Some CPU, 4 cores; Linux 6.1; Debian 12; Python 3.11.7" in page
    assert "jevons 1.0, nginx 1.0" in page
    assert "](proxy.svg)" in page
    assert "](" not in markdown(run, "jevons bench proxy")


def test_what_was_not_run_has_no_row(run):
    """Workloads that nobody ran are left out."""
    assert "flood" not in markdown(run, "x")
    assert "256 streams" not in markdown(run, "x")


def test_the_data_can_be_read_again(run):
    """The JSON holds the figures of each round, the ratios and the raw counts, a visit to a line."""
    text = results_json(run, "jevons bench proxy")
    data = msgspec.json.decode(text)
    cell = data["table"]["jevons"]["request"]
    assert (cell["median"], cell["rounds"]) == (45.0, [30.0, 60.0])
    assert cell["ratios"]["nginx"]["median"] == 3.0
    assert data["machine"]["cpu"] == "Some CPU"
    assert data["visits"][1]["measurements"][0]["load"]["ok"] == 1000
    assert sum(line.lstrip().startswith('{"subject":') for line in text.splitlines()) == len(run.visits)


def test_a_quiet_run_has_no_remarks(run):
    """Nothing to keep in mind is no section."""
    assert notes(run) == []
    assert "To keep in mind" not in markdown(run, "x")


def test_who_was_left_out_is_said(run):
    """With the first line of the reason."""
    run.skipped["litellm"] = "it broke\nwith details"
    assert notes(run) == ["litellm was left out: it broke"]


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"load_average": 3.0}, "busy before the run began: load average 3.0"),
        ({"cores": Cores(0, 1, are_siblings=True)}, "shared one physical core"),
    ],
)
def test_a_machine_in_doubt_is_said(run, change, remark):
    """Load before the run, and cores that are none."""
    assert remark in " ".join(notes(replace(run, **change)))


def test_others_on_the_core_are_said():
    """How often others took more of the proxy's core than is tolerable."""
    disturbed = replace(measurement("request"), foreign_share=0.4)
    (remark,) = notes(run_of(visit("nginx", 1, disturbed, measurement("calm"))))
    assert remark == "Others took more than 5% of the proxy's core in 1 of 2 measurements (at most 40%)."


def test_failures_are_said():
    """Failed requests, and streams with fewer events than were sent."""
    run = run_of(visit("nginx", 1, measurement("request", bad=40), measurement("flood", odd=3, events=100)))
    assert [remark.partition(": ")[2] for remark in notes(run)] == [
        "40 requests failed; rounds with failures have no figure.",
        "3 streams had another number of events than were sent.",
    ]


def test_a_pace_that_was_not_kept_is_said():
    """Where a proxy is too slow for the pace its figure is marked, and the share that came is told; a kept pace is not."""
    slow = run_of(
        visit("nginx", 1, measurement("paced-256-10", events=12_800)),
        visit("nginx", 2, measurement("paced-256-10", events=25_000)),
    )
    assert "nginx in paced-256-10 (50% of the events came)." in notes(slow)[0]
    assert "… 7.81)\\* |" in markdown(slow, "x")
    kept = run_of(visit("nginx", 1, measurement("paced-256-10", events=25_000)))
    assert notes(kept) == []
    assert "\\*" not in markdown(kept, "x")


@pytest.mark.parametrize(("value", "text"), [(3.14159, "3.14"), (31.4159, "31.4"), (3141.59, "3,142"), (-0.5, "-0.50")])
def test_figures_have_three_digits(value, text):
    """More would not repeat."""
    assert significant(value) == text
