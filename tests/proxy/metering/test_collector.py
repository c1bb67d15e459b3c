"""Work goes up, prices come down: several workers in virtual time, held against one process."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_gpu import Play, mixed, quantile
from workers_world import Workers

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.collector import PATIENCE_SECONDS, Collector
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.statements import Due, Statement
from jevons.proxy.observed import ServedTokens

LLAMA = Coefficients(3.16, 0.067, 4e-6, 0.02)
WATTS = 300.0


def books(attribution):
    """All accounts, over the devices."""
    found = {}
    for ledger in attribution.devices.values():
        for account, joules in ledger.accounts.items():
            found[account] = found.get(account, 0.0) + joules
    return found


def settled(attribution):
    """What the counters have shown and is not open any more."""
    return sum(ledger.counter.booked_joules - ledger.counter.open_joules() for ledger in attribution.devices.values())


@pytest.mark.parametrize("options", [{}, {"streamed": 0.5}, {"gpus": 2, "engines": 2}, {"drop_samples": 0.3}])
def test_one_worker_is_as_one_process(options):
    """Every charge and every account, to the last bit."""
    one = Play(LLAMA, mixed(40), 12, **options).run()
    worker = Play(LLAMA, mixed(40), 12, maker=lambda: Workers(1), **options).run()
    assert worker.charges == one.charges
    assert books(worker.attribution) == books(one.attribution)


@pytest.mark.parametrize("options", [{}, {"streamed": 0.5}, {"gpus": 2, "engines": 2}, {"drop_samples": 0.3}])
@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_are_nearly_as_one_process(workers, options):
    """The same accounts of the devices, exact sums; single charges differ by what each worker learns from fewer prompts."""
    one = Play(LLAMA, mixed(60), 12, **options).run()
    many = Play(LLAMA, mixed(60), 12, maker=lambda: Workers(workers, seed=workers), **options).run()
    accounts = books(many.attribution)
    assert sum(accounts.values()) == pytest.approx(settled(many.attribution), rel=1e-12)
    assert sum(many.charges.values()) == pytest.approx(accounts["attributed"], rel=1e-9)
    assert accounts == pytest.approx(books(one.attribution), rel=1e-9)
    off = sorted(abs(many.charges[name] / one.charges[name] - 1) for name in one.charges)
    assert quantile(off, 0.5) < 0.01
    assert quantile(off, 0.95) < 0.06
    assert quantile(many.errors, 0.5) < quantile(one.errors, 0.5) + 0.01
    assert quantile(many.errors, 0.95) < quantile(one.errors, 0.95) + 0.03


class World:
    """A device that draws evenly, and a clock moved by hand."""

    def __init__(self, workers, seed=0):
        self.share = Workers(workers, seed=seed)
        self.share.add_device(Device("GPU", "virtual (simulated)", counter_lag_seconds=0.03))
        self.share.add_engine("m", LLAMA, ["GPU"])
        self.now = 100.0
        self.works = []
        self.run(0.5)

    def run(self, seconds):
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.share.sample(Sample("GPU", self.now, joules=WATTS * self.now, watts=WATTS))
            for work in self.works:
                if self.share.at[work] in self.share.live and work.account.ended is None:
                    work.chunks(self.now, 1)
            self.share.settle(self.now)

    def begin(self, *, is_streamed=True):
        work = self.share.begin("m", self.now, prompt_tokens=100, sequences=1, is_streamed=is_streamed, decodes=True)
        self.works.append(work)
        return work

    def end(self, work):
        if self.share.at[work] in self.share.live:
            work.finish(self.now, Usage(100, 0, 0, 20))
            self.share.end("m", work, self.now)

    def require_sums(self):
        accounts = books(self.share)
        assert sum(accounts.values()) == pytest.approx(settled(self.share), rel=1e-9)
        charged = sum(work.account.charge.joules for work in self.works)
        assert charged <= accounts["attributed"] * (1 + 1e-9) + 1e-9
        return accounts, charged


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000), st.booleans())
def test_random_lives_of_workers(workers, seed, kills):
    """Whatever is asked, in whichever order workers sleep and die, every joule is in one account, and no request has more."""
    dice = random.Random(seed)
    world = World(workers, seed)
    for _ in range(25):
        match dice.randrange(6):
            case 0 | 1:
                world.begin(is_streamed=dice.random() < 0.7)
            case 2 if world.works:
                world.end(dice.choice(world.works))
            case 3 if kills and len(world.share.live) > 1:
                number = dice.choice(list(world.share.live))
                world.share.asleep.discard(number)
                world.share.kill(number, world.now)
            case 4:
                number = dice.choice(list(world.share.live))
                world.share.asleep.symmetric_difference_update({number})
        world.run(dice.choice([0.05, 0.3, 1.0]))
        world.require_sums()
    world.share.asleep.clear()
    for work in world.works:
        world.end(work)
    world.run(12.0)
    accounts, charged = world.require_sums()
    if len(world.share.live) == workers:
        assert charged == pytest.approx(accounts["attributed"], rel=1e-9)
        assert all(work.account.is_final for work in world.works)


def test_a_dead_worker_is_nobodys_bill():
    """What it was doing is unresolved, and the other's price stays what it was."""
    world = World(2, seed=1)
    while len({world.share.at[work] for work in world.works}) < 2:
        world.begin()
    world.run(4.0)
    survivor = next(work for work in world.works if world.share.at[work] == 1)
    before = survivor.account.charge.joules
    world.run(1.0)
    each_second = survivor.account.charge.joules - before
    world.share.kill(0, world.now)
    world.run(0.25)
    accounts, _ = world.require_sums()
    assert 0.0 < accounts["unresolved"] < WATTS
    gained = survivor.account.charge.joules - before - each_second
    assert gained < each_second


def test_one_that_dies_before_it_has_stated_anything():
    """It is taken to have done as much as another: the survivor does not pay for it."""
    world = World(2, seed=1)
    while len({world.share.at[work] for work in world.works}) < 2:
        world.begin()
    world.share.asleep.add(0)
    world.run(1.0)
    world.share.kill(0, world.now)
    world.run(1.0)
    accounts, _ = world.require_sums()
    assert 0.2 * WATTS < accounts["unresolved"] < WATTS


def test_a_dead_worker_that_was_alone():
    """Nobody is charged for it, and its joules are not idle: somebody was in flight."""
    world = World(1)
    world.begin()
    world.run(2.0)
    attributed = books(world.share)["attributed"]
    world.share.kill(0, world.now)
    world.run(2.0)
    accounts, _ = world.require_sums()
    assert accounts["unresolved"] > 0.0
    assert accounts["attributed"] == pytest.approx(attributed, abs=0.3 * WATTS)


def test_one_that_dies_before_its_first_token():
    """The time that it was in flight is unresolved."""
    world = World(1)
    world.share.begin("m", world.now, prompt_tokens=100, sequences=1, is_streamed=True, decodes=True)
    world.run(1.0)
    world.share.kill(0, world.now)
    world.run(2.0)
    accounts, _ = world.require_sums()
    assert accounts["unresolved"] == pytest.approx(WATTS, rel=0.1)


def test_a_worker_that_sleeps_is_waited_for_so_long():
    """Bins settle without it after that, and what it states later is charged at the bin that is open then."""
    world = World(2, seed=1)
    while len({world.share.at[work] for work in world.works}) < 2:
        world.begin()
    world.run(2.0)
    world.share.asleep.add(0)
    before = world.share.owner.oldest_open
    world.run(1.0)
    assert world.share.owner.oldest_open <= before + 2
    world.run(PATIENCE_SECONDS)
    assert world.share.owner.oldest_open > before + 2
    world.share.asleep.clear()
    for work in world.works:
        world.end(work)
    world.run(12.0)
    accounts, charged = world.require_sums()
    assert charged == pytest.approx(accounts["attributed"], rel=1e-9)


def test_energy_before_the_price_has_come():
    """Work that is stated and not priced yet is in the provisional figure."""
    world = World(2, seed=1)
    work = world.begin()
    world.run(3.0)
    worker = world.share.live[world.share.at[work]]
    before = worker.energy("m", work.account).joules
    statement = worker.answer([Due(("m",), int(world.now / 0.25))], world.now + 0.3)
    assert statement.stated
    assert worker.energy("m", work.account).joules >= before > work.account.charge.joules


def test_nothing_of_ours_is_taken_for_bypass():
    """A server's own counts are held against what all workers have seen, also of requests that are over."""
    world = World(2, seed=3)
    served = 0.0
    world.share.owner.served(("m",), ServedTokens(0.0, 0.0), world.now)
    for _ in range(6):
        works = [world.begin() for _ in range(4)]
        world.run(1.0)
        for work in works:
            world.end(work)
        served += 4
        counts = ServedTokens(served * 100.0, served * 20.0)
        world.share.owner.served(("m",), counts, world.now)
        assert world.share.owner.needs_sights
        world.run(0.5)
        assert not world.share.owner.needs_sights
    assert books(world.share)["bypass"] == 0.0


def test_others_are_found():
    """Tokens that no worker has seen have an account of their own, and the sums hold."""
    world = World(2, seed=3)
    for second in range(8):
        world.begin()
        world.run(1.0)
        world.share.owner.served(("m",), ServedTokens(second * 4000.0, second * 500.0), world.now)
    for work in world.works:
        world.end(work)
    world.run(12.0)
    accounts, charged = world.require_sums()
    assert accounts["bypass"] > 0.0
    assert charged == pytest.approx(accounts["attributed"], rel=1e-9)


def test_edges_are_believed_once():
    """An edge of an engine that nobody knows, or one said twice, changes nothing."""
    owner = Collector()
    owner.add_device(Device("GPU", "virtual"))
    owner.add_engine("m", LLAMA, ["GPU"])
    owner.join(0, 0.0)
    owner.take_edges(0, [("other", 1.0, True), ("m", 1.0, True), ("m", 1.5, True), ("m", 2.0, False), ("m", 2.5, False)])
    assert owner.devices["GPU"].busy.seconds(0.0, 5.0) == 1.0
    owner.leave(0, 3.0)
    owner.leave(0, 3.0)
    owner.take_edges(0, [("m", 4.0, True)])
    assert owner.take(0, Statement({"m": 99}, (), (), 4.0)) == []
    assert owner.devices["GPU"].busy.seconds(0.0, 5.0) == 1.0
