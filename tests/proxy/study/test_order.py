"""The order of a study: every request once, arms interleaved, the same for the same seed."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.study.order import blocks, remaining

ARMS, PROMPTS = ["a", "b"], [f"p{number}" for number in range(20)]


def plan(**changes):
    return blocks(ARMS, PROMPTS, **{"repetitions": 2, "levels": (1, 8), "seed": 1, **changes})


@given(st.integers(0, 1000), st.integers(1, 3), st.sets(st.integers(1, 64), min_size=1, max_size=3))
def test_every_request_is_there_once(seed, repetitions, levels):
    """Whatever the seed, each arm answers each prompt at each level in each repetition once."""
    keys = [key for block in plan(seed=seed, repetitions=repetitions, levels=sorted(levels)) for key in block.keys]
    assert len(keys) == len(set(keys)) == len(ARMS) * len(PROMPTS) * repetitions * len(levels)


def test_the_seed_decides_the_order():
    """The same seed gives the same order, so that a run can go on; another gives another."""
    assert plan() == plan()
    assert plan(seed=2) != plan()


def test_arms_are_interleaved_alone_and_apart_in_company():
    """At one in flight the arms change places often; in a batch there is one arm at a time."""
    for block in plan():
        arms = [key[0] for key in block.keys]
        if block.level == 1:
            assert sum(one != other for one, other in pairwise(arms)) >= 10
        else:
            assert len(set(arms)) == 1


def test_what_is_done_is_left_out():
    """What remains keeps its order, and blocks that are done vanish."""
    planned = plan()
    done = frozenset(planned[0].keys) | {planned[1].keys[0]}
    left = remaining(planned, done)
    assert [block.keys for block in left] == [planned[1].keys[1:], *(block.keys for block in planned[2:])]
