"""Clients that leave in mid-stream, in virtual time: what the server did for them until it noticed is nobody else's."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaving_world import LeavingPlay
from virtual_gpu import mixed
from workers_world import Workers

from jevons.proxy.metering.bypass import SUSPECTED_SECONDS
from jevons.proxy.simulation.physics import LLAMA_3_1_8B

TRUE = LLAMA_3_1_8B.energy
EXACT = 1e-9


def play(count=400, *, outside=frozenset(), **options):
    return LeavingPlay(TRUE, mixed(count), 16, outside=outside, **options).run()


def check_sums(world):
    """Every joule of the device is in one account, and what is attributed is charged to somebody."""
    for ledger in world.attribution.devices.values():
        held = sum(ledger.accounts.values()) + ledger.counter.open_joules()
        assert held == pytest.approx(ledger.counter.booked_joules, rel=EXACT)
    assert sum(world.charges.values()) == pytest.approx(world.account("attributed"), rel=EXACT, abs=1e-9)


def late_tokens(world):
    return next(iter(world.attribution.watches.values()))._output.late_tokens


@pytest.mark.parametrize("late_steps", [0, 2, 6])
@pytest.mark.parametrize(("counters", "streamed"), [("steps", 1.0), ("steps", 0.5), ("end", 1.0), ("mixed", 0.5)])
def test_a_storm_of_clients_that_leave_invents_nobody(counters, streamed, late_steps):
    """Half of all leave, however late the server notices: no joule goes to others, and none is suspected."""
    world = play(counters=counters, streamed=streamed, late_steps=late_steps)
    check_sums(world)
    assert len(world.left) > 150
    assert world.account("bypass") == 0.0
    assert not any(is_close for _, is_close in world.found)
    assert abs(world.shift) < 0.01


def test_what_was_late_is_known():
    """The server's counters say how many tokens nobody listened to: two for each who left."""
    world = play(late_steps=2)
    assert late_tokens(world) == pytest.approx(2 * len(world.left), rel=0.02)
    assert late_tokens(play(late_steps=0)) == 0.0


def test_late_work_is_paid_by_those_who_left():
    """Who was decoded for a little longer pays more of it than where nobody had looked at the counters."""
    read, unread = (play(1200, late_steps=6, counters=counters) for counters in ("steps", None))
    truth, charges, without = (sum(of[name] for name in read.left) for of in (read.truth, read.charges, unread.charges))
    assert without < charges < truth


@pytest.mark.parametrize("late_steps", [0, 2, 6])
def test_a_storm_hides_nobody(late_steps):
    """With 30 % of the energy past the proxy beside the storm, the energy of ours shifts by less than five per cent."""
    dice = random.Random(3)
    outside = frozenset(number for number in range(700) if dice.random() < 0.22)
    world = play(700, outside=outside, late_steps=late_steps)
    check_sums(world)
    assert 0.25 < world.outside_share < 0.35
    assert abs(world.shift) < 0.05


def test_others_that_come_into_a_storm_are_found():
    """It has taught how late the server notices: who comes later is found, and the storm alone was nobody."""
    outside = frozenset(number for number in range(1000) if number >= 500 and number % 4 == 0)
    world = play(1000, outside=outside, late_steps=2)
    check_sums(world)
    came = min(world.metered[f"r{number}"].begin for number in outside)
    assert not any(is_close for at, is_close in world.found if at < came)
    assert any(is_close for at, is_close in world.found if came < at < came + SUSPECTED_SECONDS)
    assert world.account("bypass") > 0.1 * sum(world.truth.values()) * world.outside_share


def test_worker_processes_tell_of_those_who_left():
    """What each of several processes gave up counts for the one that reads the counters."""
    world = play(400, late_steps=2, maker=lambda: Workers(3))
    assert len(world.left) > 150
    world._poll_until(world.now + 30.0)  # the last reading waits for what the workers say next
    owner = world.attribution.owner
    assert all(ledger.accounts["bypass"] == 0.0 for ledger in owner.devices.values())
    assert next(iter(owner.watches.values()))._output.late_tokens == pytest.approx(2 * len(world.left), rel=0.02)
    assert all(worker.engines["model-0"].bypass.late_share > 0.0 for worker in world.attribution.live.values())


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**16),
    st.sampled_from(["steps", "end", "mixed"]),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.integers(0, 8),
    st.floats(0.0, 0.4),
)
def test_the_parts_sum_to_the_meter(seed, counters, share, streamed, leaving, late_steps, drop):
    """Whoever leaves whenever, beside others in any share, with readings missing: no joule is lost, none is found."""
    dice = random.Random(seed)
    outside = frozenset(number for number in range(40) if dice.random() < share)
    world = LeavingPlay(
        TRUE,
        mixed(40, seed),
        6,
        outside=outside,
        counters=counters,
        streamed=streamed,
        leaving=leaving,
        late_steps=late_steps,
        drop_samples=drop,
    ).run()
    check_sums(world)
    assert not world.attribution.engines["model-0"].works
    if not outside:
        assert world.account("bypass") == 0.0
