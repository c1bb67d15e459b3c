"""Tests of the attribution on a trace, once through the simulated driver that real NVML bindings load."""

import dataclasses

import pytest
from attribution_world import plan, trace

from jevons.proxy.bench.attribution.replay import Replay, usage_of
from jevons.proxy.bench.attribution.study import quantile
from jevons.proxy.bench.attribution.trace import Event, Kind
from jevons.proxy.bench.attribution.workloads import WORKLOADS
from jevons.proxy.bench.attribution.world import World
from jevons.proxy.exchange import EnergyStatus
from jevons.proxy.metering.fitting import TABLE_DOUBT, Fit

pytest_plugins = ["nvml_fixture"]
EXACT = 1e-9


def true_start(found):
    return {engine.name: Fit(engine.coefficients, doubt=TABLE_DOUBT) for engine in found.engines}


def errors(found, outcome, since=0.0):
    return [abs(outcome.joules(served.name) / served.truth - 1) for served in found.judged(since)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_the_parts_sum_to_the_meter(workload):
    """To one in a thousand million on every row, and every request is final."""
    found = trace(workload.name, seconds=10.0)
    outcome = Replay(found, true_start(found)).run()
    assert outcome.residual <= EXACT
    assert all(energy.status is EnergyStatus.FINAL for energy in outcome.energies.values())
    assert all(energy.joules is not None for energy in outcome.energies.values())


def test_a_known_engine_is_divided_well():
    """With the true coefficients: 3 % in the median, 10 % nearly always, from the first request on."""
    found = trace("mixed", seconds=40.0)
    off = errors(found, Replay(found, true_start(found), learns=False).run())
    assert quantile(off, 0.5) <= 0.03
    assert quantile(off, 0.95) <= 0.10


def test_who_does_not_learn_keeps_what_he_has():
    """The coefficients stay at their start, or move."""
    found = trace("mixed", seed=2, seconds=40.0)
    wrong = dataclasses.replace(found.engines[0].coefficients, joules_per_prompt_token=0.1)
    kept = Replay(found, {"engine-0": Fit(wrong, doubt=TABLE_DOUBT)}, learns=False).run().learned
    assert {coefficients for _, coefficients in kept} == {wrong}
    moved = Replay(found, {"engine-0": Fit(wrong, doubt=TABLE_DOUBT)}).run().learned[-1][1]
    assert moved.joules_per_prompt_token < 0.07


def test_others_are_found_by_the_engine_counters_alone():
    """Scraped, thirty per cent past the proxy shift ours by less than 5 %; unread, they are charged to ours."""
    found = trace("bypass", seconds=60.0)
    truth = sum(served.truth for served in found.judged(0.0))
    charged = {
        scrapes: sum(energy.joules for energy in Replay(found, true_start(found), scrapes=scrapes).run().energies.values())
        for scrapes in (True, False)
    }
    assert charged[True] == pytest.approx(truth, rel=0.05)
    assert charged[False] > 1.2 * truth


def test_who_left_has_no_usage():
    """The proxy has counted events, and the server has said nothing."""
    found = trace("leaving", seconds=10.0)
    usages = {served.left_early: usage_of(served) for served in found.requests.values()}
    assert usages[True].is_estimated
    assert not usages[False].is_estimated


def through_nvml(world, found, simulation, meter):
    """The same trace with the readings that NVML's own bindings take of a simulated driver."""
    [device] = meter.open()
    [power] = world.powers
    changes = [(at, 1, watts) for at, watts in zip(power.times, power.watts, strict=True) if at > found.begin]
    polls = [(event.at, 2, None) for event in found.events if event.kind is Kind.SAMPLE]
    simulation.set_power(0, power.idle_watts)
    start_ns, now, events = simulation.now_ns(), found.begin, []
    for at, what, watts in sorted(changes + polls, key=lambda change: change[:2]):
        simulation.advance(at - now)
        now = at
        if what == 1:
            simulation.set_power(0, watts)
            continue
        [sample] = meter.read()
        moved = sample.at - start_ns / 1e9 + found.begin
        events.append(Event(at, Kind.SAMPLE, sample=dataclasses.replace(sample, at=moved)))
    others = [event for event in found.events if event.kind is not Kind.SAMPLE]
    engines = tuple(dataclasses.replace(engine, devices=(device.id,)) for engine in found.engines)
    merged = sorted(others + events, key=lambda event: event.at)
    return dataclasses.replace(found, devices=(device,), engines=engines, events=merged)


def test_through_the_driver(simulate, metered):
    """A workload read by nvidia-ml-py from the simulated driver: as well divided as in virtual time alone, and conserved."""
    world = World(plan("mixed", seconds=40.0), 3)
    found = world.run()
    simulation = simulate(NVSIM_STEP_MS="100")
    read = through_nvml(world, found, simulation, metered(simulation))
    outcome = Replay(read, true_start(read), learns=False).run()
    assert outcome.residual <= EXACT
    off = errors(read, outcome)
    assert quantile(off, 0.5) <= 0.03
    assert quantile(off, 0.95) <= 0.12
    assert {energy.method.value for energy in outcome.energies.values()} == {"simulated"}
