"""Attribution as people see it: what a request is charged, when that is final, and what becomes of it when readings fail."""

import pytest
from metering_world import COEFFICIENTS, World, check_memory, check_sums, one_device

from jevons.proxy.exchange import EnergyStatus, Usage
from jevons.proxy.metering.attribution import BIN_SECONDS, HORIZON_SECONDS, Attribution
from jevons.proxy.metering.counter import GAP_SECONDS


def energy_of(world, work, engine="model"):
    return world.attribution.energy(engine, work.account)


def test_a_request_alone_pays_for_its_time():
    """Static power included, and nothing of the time before and after it; an idle power that is known is not even needed."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 2.0)
    world.finish(work, completion=64)
    world.run(1.0)
    energy = energy_of(world, work)
    assert energy.status is EnergyStatus.FINAL
    assert energy.joules == pytest.approx(400.0 * 2.0)
    assert world.account_joules("idle") == pytest.approx(world.devices["gpu"].booked_joules - 800.0, abs=60.0)


def test_a_request_is_final_soon():
    """Its last bin settles once the counter has passed it: within half a second, and not before."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    world.finish(work, completion=32)
    assert energy_of(world, work).status is EnergyStatus.PROVISIONAL
    world.run(0.5)
    assert energy_of(world, work).status is EnergyStatus.FINAL


def test_the_first_request_is_priced_as_it_goes():
    """Before any bin has settled its figure comes from what the counter has shown since it began."""
    world = one_device()
    work = world.begin("model")
    assert energy_of(world, work).joules is None
    world.read("gpu")
    for _ in range(6):
        world.wait(0.125)
        world.read("gpu")
        work.chunks(world.now, 4)
    assert energy_of(world, work).joules == pytest.approx(400.0 * 0.75, rel=0.35)


def test_the_price_is_carried_to_bins_that_have_not_settled():
    """In the middle of an answer the figure includes what has not settled, at the price of what has."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 4.0)
    world.wait(0.2)
    for _ in range(6):
        work.chunks(world.now, 1)
    energy = energy_of(world, work)
    assert energy.status is EnergyStatus.PROVISIONAL
    assert energy.joules == pytest.approx(400.0 * 4.1, rel=0.1)


def test_power_readings_will_do():
    """A device without a counter has its power integrated."""
    world = one_device(has_counter=False)
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 2.0)
    world.finish(work, completion=64)
    world.run(1.0)
    assert energy_of(world, work).joules == pytest.approx(800.0)


def test_bins_settle_without_any_device():
    """Nobody keeps anybody waiting: the request is final with the bin it ended in, and its joules are unknown."""
    world = World({}, {"model": ()})
    work = world.begin("model")
    work.chunks(world.now, 3)
    world.finish(work, completion=3)
    world.wait(BIN_SECONDS)
    world.settle()
    energy = energy_of(world, work)
    assert (energy.joules, energy.low, energy.method, energy.status) == (None, None, None, EnergyStatus.FINAL)
    assert world.attribution.state(world.now).devices == ()


def test_a_device_that_is_back_within_ten_seconds_has_lost_nothing():
    """What it consumed meanwhile is spread over the time, and the requests say so."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    for _ in range(16):
        world.wait(0.25)
        world.read("gpu", "fail")
        work.chunks(world.now, 8)
        world.settle()
    world.stream(work, 1.0)
    world.finish(work)
    world.run(1.0)
    energy = energy_of(world, work)
    assert energy.joules == pytest.approx(400.0 * 6.0)
    assert energy.quality == ("interpolated",)
    assert world.account_joules("unresolved") == 0


@pytest.mark.parametrize("does_settle", [True, False], ids=["settling meanwhile", "settling afterwards"])
def test_a_device_that_is_back_later_leaves_a_gap(does_settle):
    """The energy of the gap is unresolved, the request has no total but a floor: what was measured before it and after it."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    for _ in range(48):
        world.wait(0.25)
        work.chunks(world.now, 8)
        if does_settle:
            world.settle()
    world.stream(work, 1.0)
    world.finish(work)
    late = world.begin("model")
    world.stream(late, 1.0)
    world.finish(late)
    world.run(1.0)
    energy = energy_of(world, work)
    assert (energy.joules, energy.high, energy.quality) == (None, None, ("gap",))
    assert energy.low == pytest.approx(400.0 * 2.0, rel=0.2)
    assert world.account_joules("unresolved") == pytest.approx(400.0 * 12.0, rel=0.05)
    assert energy_of(world, late).joules == pytest.approx(400.0, rel=0.02)


def test_nobody_waits_for_a_device_that_is_gone():
    """Ten seconds after its last word, requests become final without a figure; those before it have theirs."""
    world = one_device()
    world.run(1.0)
    before = world.begin("model")
    world.stream(before, 1.0)
    world.finish(before)
    world.run(0.5)
    work = world.begin("model")
    work.chunks(world.now + 0.3, 5)
    world.wait(0.5)
    world.end(work)
    world.wait(GAP_SECONDS - 1.0)
    world.settle()
    assert not work.account.is_final
    world.wait(1.0)
    world.settle()
    assert work.account.is_final
    assert energy_of(world, work).joules is None
    assert energy_of(world, before).joules == pytest.approx(400.0)


def test_a_counter_that_stands_still_is_a_gap():
    """Readings without a move for ten seconds are as good as none."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    for _ in range(48):
        world.wait(0.25)
        world.read("gpu", "still")
        work.chunks(world.now, 8)
        world.settle()
    assert not world.attribution.state(world.now).devices[0].is_up
    world.finish(work)
    world.run(1.0)
    assert energy_of(world, work).quality == ("gap",)


@pytest.mark.parametrize("kind", ["reset", "leap"])
def test_a_reset_is_bridged_by_the_power_held(kind):
    """The request pays what the power readings say, and is flagged."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    world.wait(0.125)
    work.chunks(world.now, 4)
    world.read("gpu", kind)
    world.stream(work, 1.0)
    world.finish(work)
    world.run(1.0)
    energy = energy_of(world, work)
    assert energy.joules == pytest.approx(400.0 * 2.125)
    assert energy.quality == ("reset",)


def test_a_stream_that_waits_holds_its_bins_for_eight_seconds():
    """Its prompt is paid in the bins that it was read in, as long as they are open; then they settle without it."""
    world = one_device()
    world.run(1.0)
    began = world.now
    work = world.begin("model")
    other = world.begin("model")
    world.run(1.0)
    world.stream(other, HORIZON_SECONDS - 1.25)
    assert world.attribution.oldest_open == began // BIN_SECONDS
    world.stream(other, 1.0)
    assert world.attribution.oldest_open == world.now // BIN_SECONDS
    assert not world.attribution.engines["model"].waiting
    work.chunks(world.now, 1)
    world.finish(work, completion=1)
    world.finish(other)
    world.run(1.0)
    check_sums(world)
    check_memory(world)
    assert 0 < work.account.charge.joules < other.account.charge.joules


def test_a_stream_that_is_left_before_its_first_token_lets_go():
    """It holds nothing any more, and pays for what can have been read."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.run(0.5)
    world.end(work)
    world.run(0.5)
    assert work.account.is_final
    assert energy_of(world, work).joules == pytest.approx(200.0)


def test_the_end_is_the_end_once():
    """Ending twice takes nobody else out of the batch, nor off the device."""
    world = one_device()
    world.run(1.0)
    work, other = world.begin("model"), world.begin("model")
    for each in (work, other):
        each.chunks(world.now, 1)
    world.end(work)
    world.end(work)
    assert world.attribution.engines["model"].decoding == 1
    world.stream(other, 1.0)
    world.finish(other)
    world.run(1.0)
    assert work.account.charge.joules + other.account.charge.joules == pytest.approx(400.0)


def test_what_is_told_after_the_last_bin_changes_nothing():
    """Usage that comes when the energy is final neither changes it nor leaves anything behind."""
    world = one_device()
    world.run(1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    world.end(work)
    world.run(1.0)
    before = energy_of(world, work)
    work.finish(world.now, Usage(prompt=5000, completion=5000))
    work.chunks(world.now, 7)
    world.run(1.0)
    assert energy_of(world, work) == before
    check_memory(world)


def test_a_device_read_for_the_first_time_during_a_request():
    """Who began before the first reading is unknown; who comes after it has a figure."""
    world = one_device()
    early = world.begin("model")
    world.wait(0.6)
    early.chunks(world.now, 5)
    world.stream(early, 1.0)
    work = world.begin("model")
    world.stream(work, 1.0)
    for each in (early, work):
        world.finish(each)
    world.run(1.0)
    assert energy_of(world, early).joules is None
    assert energy_of(world, work).joules is not None


def test_idle_time_is_never_a_requests():
    """Between two requests at 400 W the card idles at 80 W: each pays its own time, though the counter moves in large steps."""
    world = one_device()
    gpu = world.devices["gpu"]
    drawn = 0.0

    def draw(seconds, watts, work=None):
        nonlocal drawn
        for _ in range(round(seconds / 0.0625)):
            world.now += 0.0625
            drawn += watts * 0.0625
            if work is not None:
                work.chunks(world.now, 1)
            if round(world.now / 0.0625) % 8 == 0:
                world.attribution.sample(gpu._sample(world.now, drawn))
            world.settle()

    draw(5.0, 80.0)
    works = []
    for _ in range(10):
        works.append(world.begin("model"))
        draw(0.1875, 400.0, works[-1])
        world.finish(works[-1])
        draw(0.8125, 80.0)
    draw(2.0, 80.0)
    assert world.attribution.devices["gpu"].idle_watts == pytest.approx(80.0)
    for work in works:
        assert energy_of(world, work).joules == pytest.approx(400.0 * 0.1875, rel=1e-6)


def test_the_state_before_anything_happened():
    """Nothing has settled, nothing is behind, and the device says that it was not read."""
    state = one_device().attribution.state(123.0)
    assert state.settle_lag_seconds == 0.0
    assert state.coefficients == {"model": COEFFICIENTS}
    [device] = state.devices
    assert (device.is_up, device.reason, device.counter_joules, device.settled_joules) == (False, "no reading yet", None, 0)


def test_an_attribution_without_events_has_nothing_to_settle():
    """Before the first event or reading there is no first bin."""
    attribution = Attribution()
    assert attribution.settle(1e6) == []
    assert attribution.oldest_open is None
