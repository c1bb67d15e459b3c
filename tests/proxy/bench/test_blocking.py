"""Small requests beside large ones: the loads are what they say, and a run counts both."""

import json

from bench_world import two_cores

from jevons.proxy.bench.blocking import BESIDES, BODY_BYTES, LINE_BYTES, measure_blocking, render

pytest_plugins = ["bench_fixture"]


def test_the_large_ones_are_large():
    """A body of 2 MB that is sound JSON, and a request for a line of 10 MB."""
    _, body, line = BESIDES
    sent = body.body("auto")
    assert 0.99 * BODY_BYTES < len(sent) < 1.01 * BODY_BYTES
    assert json.loads(sent)["model"] == "auto"
    assert (json.loads(line.body("auto"))["stream"], json.loads(line.body("auto"))["max_tokens"]) == (True, LINE_BYTES)


def test_a_run(programs):
    """Every kind was met by probes, with jevons and without, and was served itself."""
    waits = measure_blocking(programs, two_cores(), lambda _: None, rounds=1, seconds=0.5)
    titles = ("nothing", "a body of 2 MB", "a line of 10 MB")
    assert [(wait.beside, wait.is_direct) for wait in waits] == [(title, direct) for title in titles for direct in (False, True)]
    assert all(0 < wait.p50 <= wait.p99 <= wait.longest for wait in waits)
    assert [wait.large > 0 for wait in waits] == [False, False, True, True, True, True]
    assert render(waits).count("\n") == 6
    assert waits[3].as_json()["beside"] == "a body of 2 MB"
    assert waits[3].as_json()["direct"] is True
