"""What is asked of a proxy."""

import json

import pytest

from jevons.proxy.bench.workloads import EVENTS_PER_STREAM, WORKLOADS, Workload


def test_names_are_unique():
    """A name finds one workload."""
    assert len({workload.name for workload in WORKLOADS}) == len(WORKLOADS)


def test_json_replies_are_asked_for_without_streaming():
    """A workload without events says nothing of streams."""
    body = json.loads(Workload("json", "JSON", connections=1).body("some-model"))
    assert body["model"] == "some-model"
    assert not {"stream", "max_tokens", "seed"} & set(body)


@pytest.mark.parametrize(("name", "pace"), [("flood", 0), ("paced-32-10", 10_000), ("paced-256-30", 30_000)])
def test_streams_say_what_they_want(name, pace):
    """The number of events and their pace are in fields of the request."""
    workload = next(one for one in WORKLOADS if one.name == name)
    body = json.loads(workload.body("m"))
    assert (body["stream"], body["max_tokens"], body["seed"]) == (True, EVENTS_PER_STREAM, pace)


def test_only_a_pace_says_what_is_due():
    """Floods and rates are not due at any rate; paced streams are."""
    due = {workload.name: workload.events_per_second for workload in WORKLOADS}
    assert due["paced-256-10"] == pytest.approx(25_600)
    assert (due["request"], due["flood"], due["calm-stream"]) == (None, None, None)
