"""Tests of the table's rows."""

import itertools
import random

import pytest
from attribution_world import trace

from jevons.proxy.bench.attribution.workloads import WORKLOADS, buffered, leaving, long_context, mixed, parallel, short


def jobs(source, count=400):
    return list(itertools.islice(source(random.Random(1)), count))


def test_names_are_unique():
    """A row is asked for by its name."""
    names = [workload.name for workload in WORKLOADS]
    assert len(set(names)) == len(names)
    assert names[0] == "mixed"


@pytest.mark.parametrize("source", [mixed, short, long_context, parallel, leaving, buffered(0.5)])
def test_jobs_are_possible(source):
    """Something to read, something to write, and an estimate within a fifth."""
    for job in jobs(source):
        assert job.prompt_tokens > job.cached_tokens >= 0
        assert job.output_tokens > 0
        assert job.leaves_after is None or 0 < job.leaves_after < job.output_tokens
        assert 0.8 <= job.estimate <= 1.2


def test_shares_are_as_said():
    """Half buffered, a fifth leaving, a quarter of four answers."""
    assert sum(not job.is_streamed for job in jobs(buffered(0.5))) / 400 == pytest.approx(0.5, abs=0.1)
    assert sum(job.leaves_after is not None for job in jobs(leaving)) / 400 == pytest.approx(0.2, abs=0.08)
    assert sum(job.sequences == 4 for job in jobs(parallel)) / 400 == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_each_can_be_played(workload):
    """A few seconds of every row give requests with a truth."""
    assert trace(workload.name, seconds=3.0).judged(0.0)
