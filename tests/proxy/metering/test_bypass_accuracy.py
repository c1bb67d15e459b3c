"""Others in the same batch, in virtual time: what they take does not end up with those who come through the proxy."""

import random

import pytest
from bypass_world import BypassPlay
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_gpu import START, Play, mixed, quantile, short

from jevons.proxy.exchange import Energy
from jevons.proxy.metering.price_watch import PriceWatch
from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.scheduler import Work

TRUE = LLAMA_3_1_8B.energy
EXACT = 1e-9


def some(count, share, *, first=0, seed=3):
    """So many of the requests, by their numbers, from the `first` on."""
    dice = random.Random(seed)
    return frozenset(number for number in range(first, count) if dice.random() < share)


def play(works, *, share=0.3, concurrency=16, first=0, **options):
    return BypassPlay(TRUE, works, concurrency, outside=some(len(works), share, first=first), **options).run()


def check_sums(world):
    """Every joule of the device is in one account, and what is attributed is charged to somebody."""
    ledger = world.attribution.devices["GPU-0"]
    shown = world.trace.at(world._next_poll) - world.trace.at(START - 5.0)
    assert sum(ledger.accounts.values()) == pytest.approx(shown, rel=0.02)
    held = sum(ledger.accounts.values()) + ledger.counter.open_joules()
    assert held == pytest.approx(ledger.counter.booked_joules, rel=EXACT)
    assert sum(world.charges.values()) == pytest.approx(ledger.accounts["attributed"], rel=EXACT)


@pytest.mark.parametrize("streamed", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(("works", "median"), [(mixed(800), 0.06), (short(2000), 0.10)], ids=["mixed", "short"])
def test_thirty_per_cent_past_us(works, median, streamed):
    """With the server's counters read, the energy of ours shifts by less than five per cent; without, by thirty and more."""
    world = play(works, streamed=streamed)
    check_sums(world)
    assert 0.25 < world.outside_share < 0.35
    assert abs(world.shift) < 0.05
    assert quantile(world.errors, 0.5) < median
    assert world.account("bypass") == pytest.approx(sum(world.truth.values()) * world.outside_share, rel=0.15)
    blind = play(works, streamed=streamed, counters=None)
    assert blind.shift > 0.3
    assert blind.account("bypass") == 0.0


@pytest.mark.parametrize("counters", ["end", "mixed"])
def test_servers_that_count_at_the_end(counters):
    """Where output shows when a request is over, single requests are less sure, and the sum still is right."""
    world = play(mixed(1500), counters=counters)
    check_sums(world)
    assert abs(world.shift) < 0.05
    assert quantile(world.errors, 0.5) < 0.10


@pytest.mark.parametrize("counters", ["steps", "end", "mixed"])
@pytest.mark.parametrize("streamed", [1.0, 0.5])
def test_nobody_past_us(counters, streamed):
    """Where all goes through the proxy nobody is suspected, and every charge is what it is without the counters."""
    works = mixed(300)
    world = play(works, share=0.0, counters=counters, streamed=streamed)
    assert world.account("bypass") == 0.0
    assert not any(is_close for _, is_close in world.found)
    assert not any("bypass" in metered.work.account.flags for metered in world.metered.values())
    assert world.charges == pytest.approx(Play(TRUE, works, 16, streamed=streamed).run().charges)


def test_who_shared_a_bin_says_so():
    """Requests with others in their bins carry the flag, and those before the others came do not."""
    world = play(mixed(400), share=0.5, first=200)
    flagged = {name for name in world.charges if "bypass" in world.metered[name].work.account.flags}
    assert {f"r{number}" for number in range(150)}.isdisjoint(flagged)
    assert sum(int(name[1:]) > 250 for name in flagged) > 50


def energy_of(world, name):
    metered = world.metered[name]
    return world.attribution.energy("model-0", metered.work.account)


def test_others_widen_the_bounds():
    """What hangs on the work of others is less sure than what does not."""
    shared, alone = play(mixed(200)), play(mixed(200), share=0.0)

    def width(energy: Energy) -> float:
        return (energy.high - energy.low) / energy.joules

    common = [name for name in shared.charges if name in alone.charges and "bypass" in shared.metered[name].work.account.flags]
    assert sum(width(energy_of(shared, name)) > width(energy_of(alone, name)) for name in common) > 0.8 * len(common)


def test_others_alone_are_not_idle():
    """While nobody comes through the proxy, what others burn is theirs; only what is left is idle."""
    world = play(mixed(300), share=1.0, first=5, concurrency=8)
    others = sum(joules for name, joules in world.truth.items() if not world.is_ours(name))
    check_sums(world)
    assert world.account("bypass") == pytest.approx(others, rel=0.10)


class Watching(BypassPlay):
    """A play whose prices are watched."""

    def _submit(self):
        for ledger in self.attribution.devices.values():
            ledger.price_watch = ledger.price_watch or PriceWatch()
        super()._submit()


def test_an_unread_server_whose_price_leaps():
    """Without counters, when others have a device read prompts all the time, what exceeds the usual price is nobody's."""
    prompts = [Work(1500, 2)] * 4
    works = [*mixed(700), *(work for one in mixed(300, seed=2) for work in (one, *prompts))]
    outside = frozenset(number for number, work in enumerate(works) if work == prompts[0])

    world = Watching(TRUE, works, 16, counters=None, outside=outside).run()
    blind = BypassPlay(TRUE, works, 16, counters=None, outside=outside).run()
    check_sums(world)
    assert blind.shift > 0.4
    assert world.shift < blind.shift / 2
    assert world.account("unresolved") > sum(world.truth.values()) * world.outside_share / 2
    assert any("bypass" in world.metered[name].work.account.flags for name in world.charges)


def test_a_usual_price_is_believed():
    """Where all goes through the proxy the price watch says nothing, whatever the load does."""
    works = [*mixed(400), *short(1500), *mixed(200, seed=5)]
    world = Watching(TRUE, works, 16, counters=None, streamed=0.7, think_seconds=1.0).run()
    assert world.account("unresolved") == 0.0


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**16),
    st.sampled_from(["steps", "end", "mixed"]),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 0.4),
    st.integers(1, 2),
)
def test_the_parts_sum_to_the_meter(seed, counters, share, streamed, drop, gpus):
    """With others in any share, of any kind of server, and readings missing: no joule is lost, none is found."""
    works = mixed(40, seed)
    world = BypassPlay(
        TRUE, works, 6, outside=some(40, share, seed=seed), counters=counters, streamed=streamed, drop_samples=drop, gpus=gpus
    ).run()
    for ledger in world.attribution.devices.values():
        assert all(joules >= 0.0 for joules in ledger.accounts.values())
        held = sum(ledger.accounts.values()) + ledger.counter.open_joules()
        assert held == pytest.approx(ledger.counter.booked_joules, rel=EXACT)
    assert sum(world.charges.values()) == pytest.approx(world.account("attributed"), rel=EXACT, abs=1e-9)
    assert not world.attribution.engines["model-0"].works
    assert len(world.attribution.engines["model-0"].bypass.bins) < 100
