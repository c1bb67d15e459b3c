"""The run: which checks, on what, and what becomes of one that fails."""

import pytest
from gpu_bench_world import LAW, SAME, made_up_run

from jevons.proxy.bench.gpu.checks import CHECKS
from jevons.proxy.bench.gpu.outcome import SHORT
from jevons.proxy.bench.gpu.run import Plan, _check, find_problem
from jevons.proxy.errors import JevonsError

pytest_plugins = ["simulation_fixture"]


def test_checks_keep_their_order():
    """Those wanted are run in the order of all, conservation last."""
    assert [check.__name__ for check in Plan(only=("conservation", "alone")).checks] == ["alone", "conservation"]
    assert Plan().checks == list(CHECKS)


async def test_why_no_device_can_be_read(simulated_gpu):
    """A device that is there is no problem; one that is not has its reason."""
    assert await find_problem([f"simulated:{simulated_gpu.path}"]) is None
    problem = await find_problem(["simulated:/nowhere"])
    assert problem is not None
    assert "no simulated GPU at /nowhere" in problem


async def test_a_check_that_fails_is_a_reason_in_the_run():
    """The others go on, and the run does not count as passed."""

    async def broken(_world, _scale):
        raise JevonsError("the counter had a gap")

    async def fine(_world, _scale):
        return LAW

    run, lines = made_up_run(), []
    for check in (broken, fine):
        await _check(check, None, SHORT, run, lines.append)
    assert run.failed == {"broken": "the counter had a gap"}
    assert run.outcomes == [LAW]
    assert not run.is_passed
    assert any("holds" in line for line in lines)
    assert made_up_run(LAW, SAME).is_passed


async def test_a_bug_in_a_check_is_not_hidden():
    """What is not an error of ours stops the run."""

    async def wrong(_world, _scale):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await _check(wrong, None, SHORT, made_up_run(), lambda _line: None)
