"""The circuit breaker: what opens it, how it is tried, and what never opens it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.upstreams.breaker import Breaker, BreakerLimits, BreakerState

LIMITS = BreakerLimits(failures=3, seconds=5.0, most_seconds=20.0)


class World:
    """A breaker and its clock."""

    def __init__(self):
        self.now = 100.0
        self.breaker = Breaker(LIMITS, lambda: self.now)

    def open(self):
        """Fail until it opens."""
        while self.breaker.state is not BreakerState.OPEN:
            self.breaker.fail(has_answered=False)


@pytest.fixture
def world():
    """A breaker that is closed."""
    return World()


def test_failures_in_a_row_open_it(world):
    """Any success in between begins the row anew."""
    breaker = world.breaker
    for _ in range(10):
        breaker.fail(has_answered=False)
        breaker.fail(has_answered=False)
        assert breaker.admits()
        breaker.succeed()
    world.open()
    assert (breaker.failures, breaker.opened) == (3, 1)
    assert not breaker.admits()
    assert breaker.seconds_left == 5.0


def test_one_request_tries_it(world):
    """After its time one passes, and no second until that one has told how it went."""
    world.open()
    world.now += 5.0
    breaker = world.breaker
    assert breaker.admits()
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.begin()
    assert not breaker.admits()
    breaker.succeed()
    assert breaker.admits()
    assert not breaker.begin()


def test_a_failed_trial_doubles_the_pause_up_to_a_limit(world):
    """5, 10, 20, 20 seconds; a success makes it 5 again."""
    world.open()
    pauses = []
    for _ in range(4):
        pauses.append(world.breaker.seconds_left)
        world.now += pauses[-1]
        assert world.breaker.admits()
        world.breaker.begin()
        world.breaker.fail(has_answered=False)
    assert pauses == [5.0, 10.0, 20.0, 20.0]
    world.now += 20.0
    assert world.breaker.admits()
    world.breaker.succeed()
    world.open()
    assert world.breaker.seconds_left == 5.0


def test_a_reply_that_begins_lets_the_others_pass_on_probation(world):
    """A trial may stream for minutes; the first failure after it opens at once."""
    world.open()
    world.now += 5.0
    breaker = world.breaker
    assert breaker.admits()
    breaker.begin()
    breaker.answered()
    assert breaker.admits()
    breaker.fail(has_answered=True)
    assert breaker.state is BreakerState.OPEN


def test_a_trial_whose_client_left_says_nothing(world):
    """The next request is the trial."""
    world.open()
    world.now += 5.0
    assert world.breaker.admits()
    world.breaker.begin()
    world.breaker.let_go()
    assert world.breaker.admits()
    assert world.breaker.begin()


def test_the_cheap_questions_bring_the_trial_forward(world):
    """A server that could not be reached, and can again; but one that answers with errors was there all the time."""
    world.open()
    world.breaker.encourage()
    assert world.breaker.admits()
    assert world.breaker.begin()
    world.breaker.fail(has_answered=True)
    world.breaker.encourage()
    assert not world.breaker.admits()


@given(st.lists(st.sampled_from(["succeed", "fail", "wait", "ask"])))
def test_any_history(steps):
    """It is never shut for longer than its limit, and while it is half open at most one is out on trial."""
    world = World()
    breaker, trials = world.breaker, 0
    for step in steps:
        if step == "wait":
            world.now += LIMITS.most_seconds
            assert breaker.admits() or breaker.state is BreakerState.HALF_OPEN
        elif step == "ask" and breaker.admits():
            trials = trials + 1 if breaker.begin() else trials
        elif step == "succeed":
            breaker.succeed()
            trials = 0
        elif step == "fail":
            breaker.fail(has_answered=False)
            trials = 0
        assert trials <= 1
        assert breaker.seconds_left <= LIMITS.most_seconds
