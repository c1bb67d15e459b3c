"""Who settles together: devices that share an engine wait for each other, others do not; and weights where scopes differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metering_world import COEFFICIENTS, VirtualDevice, World, check_memory, check_sums

from jevons.proxy.metering.attribution import BIN_SECONDS, Attribution
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.groups import groups_of
from jevons.proxy.metering.ledger import DeviceLedger
from jevons.proxy.metering.meter import Device, Sample


def make_groups(engines, devices):
    """The names in each group."""
    made = [Engine(name, COEFFICIENTS, tuple(on), bin_seconds=0.25) for name, on in engines.items()]
    ledgers = {name: DeviceLedger(Device(name, "a card"), 0.25) for name in devices}
    return [
        ({engine.name for engine in group.engines}, {ledger.counter.device.id for ledger in group.devices})
        for group in groups_of(made, ledgers)
    ]


def test_engines_that_share_a_device_are_together():
    """Over any number of steps; who shares nothing is apart, and so is a device that nobody uses."""
    engines = {"a": "12", "b": "3", "c": "", "d": "23", "e": "4"}
    assert make_groups(engines, "12345") == [({"c"}, set()), ({"a", "b", "d"}, {"1", "2", "3"}), ({"e"}, {"4"}), (set(), {"5"})]


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("123456")), max_size=6))
def test_everybody_is_in_one_group(engines):
    """Every engine and every device once, and an engine's devices are where it is."""
    groups = make_groups(engines, "123456")
    assert sorted(name for names, _ in groups for name in names) == sorted(engines)
    assert sorted(name for _, names in groups for name in names) == list("123456")
    for members, devices in groups:
        assert all(engines[name] <= devices for name in members)


def two_servers():
    return World({"one": VirtualDevice("one", 400.0), "two": VirtualDevice("two", 200.0)}, {"a": ("one",), "b": ("two",)})


def test_a_dead_device_holds_up_nobody_else():
    """An answer on another board is final within half a second, although one has been silent since before it began."""
    world = two_servers()
    world.run(3.0)
    silent = world.devices.pop("two")
    work = world.begin("a")
    world.stream(work, 1.0)
    world.finish(work, completion=32)
    world.run(0.5)
    assert work.account.is_final
    assert work.account.charge.joules == pytest.approx(400.0, rel=0.02)
    world.devices["two"] = silent
    world.run(12.0)
    check_sums(world)
    check_memory(world)


def test_a_coarse_device_holds_up_only_who_is_on_it():
    """A counter that moves twice a minute makes its own engine's answers wait, and no other's."""
    attribution = Attribution()
    attribution.add_device(Device("fine", "a card"))
    attribution.add_device(Device("coarse", "a card far away", update_seconds=30.0))
    attribution.add_engine("near", COEFFICIENTS, ["fine"])
    attribution.add_engine("far", COEFFICIENTS, ["coarse"])
    for name in ("fine", "coarse"):
        attribution.sample(Sample(name, 1000.0, 0.0))
    options = {"prompt_tokens": 10.0, "sequences": 1, "is_streamed": True, "decodes": True}
    works = {name: attribution.begin(name, 1000.0, **options) for name in ("near", "far")}
    for name, work in works.items():
        work.chunks(1000.5, 1)
        attribution.end(name, work, 1001.0)
    for at in (1000.5, 1001.0, 1001.5):
        attribution.sample(Sample("fine", at, 100.0 * at))
        attribution.sample(Sample("coarse", at, 0.0))
    assert attribution.settle(1001.6) == [works["near"].account]
    assert attribution.state(1001.6).settle_lag_seconds == pytest.approx(1.6)
    attribution.sample(Sample("coarse", 1030.0, 900.0))
    assert attribution.settle(1030.0) == [works["far"].account]


def test_an_engine_moves_to_another_board():
    """From then on it pays there, and the board it has left is idle; what it has paid stays where it was."""
    world = two_servers()
    world.run(3.0)
    first = world.begin("a")
    world.stream(first, 2.0)
    world.finish(first)
    world.run(1.0)
    world.attribution.move_engine("a", ["two"])
    second = world.begin("a")
    world.stream(second, 2.0)
    world.finish(second)
    world.run(1.0)
    ledgers = world.attribution.devices
    assert ledgers["one"].accounts["attributed"] == pytest.approx(800.0, rel=0.02)
    assert ledgers["two"].accounts["attributed"] == pytest.approx(400.0, rel=0.02)
    assert second.account.charge.joules == pytest.approx(400.0, rel=0.02)
    check_sums(world)
    check_memory(world)


@pytest.mark.parametrize("silent", ["one", "two"])
def test_an_engine_moves_to_a_board_that_is_behind_or_ahead(silent):
    """Groups that have got differently far meet without losing a joule, or settling a bin twice."""
    world = two_servers()
    world.run(3.0)
    kept = world.devices.pop(silent)
    world.run(2.0)  # this one's bins stay open meanwhile
    world.attribution.move_engine("a", ["one", "two"])
    world.devices[silent] = kept
    world.run(3.0)
    work = world.begin("a")
    world.stream(work, 2.0)
    world.finish(work)
    world.run(2.0)
    assert work.account.charge.joules == pytest.approx(1200.0, rel=0.02)
    check_sums(world)
    check_memory(world)


def test_a_device_that_comes_later():
    """It counts from its first reading on, alone or under an engine that had none."""
    world = World({"one": VirtualDevice("one", 400.0)}, {"a": ("one",), "b": ()})
    world.run(2.0)
    for name in ("late", "spare"):
        world.devices[name] = VirtualDevice(name, 100.0)
        world.attribution.add_device(Device(name, "virtual"))
    world.attribution.move_engine("b", ["late"])
    world.run(2.0)
    work = world.begin("b")
    world.stream(work, 1.0)
    world.finish(work)
    world.run(1.0)
    assert work.account.charge.joules == pytest.approx(100.0, rel=0.03)
    assert world.attribution.devices["spare"].accounts["idle"] == pytest.approx(400.0, rel=0.1)
    check_sums(world)


def test_a_host_is_shared_by_work_and_not_by_boards():
    """Two servers on one board and on two, with the same work: they pay the same for the host's processors."""
    watts = {"one": 300.0, "two": 300.0, "three": 300.0, "cpu": 120.0}
    world = World({name: VirtualDevice(name, drawn) for name, drawn in watts.items()}, {"single": (), "double": ()})
    attribution = world.attribution
    attribution.devices["cpu"].counter.device = Device("cpu", "host CPU", scope="cpu")
    attribution.move_engine("single", ["one", "cpu"])
    attribution.move_engine("double", ["two", "three", "cpu"])
    assert attribution.engines["double"].shares == {"two": 0.5, "three": 0.5, "cpu": 1.0}
    assert attribution.engines["double"].boards == ("two", "three")
    world.run(3.0)
    works = [world.begin(name) for name in ("single", "double")]
    for _ in range(64):
        world.run(0.125)
        for work in works:
            work.chunks(world.now, 4)
    for work in works:
        world.finish(work, completion=256)
    world.run(1.0)
    single, double = (work.account.charge.joules for work in works)
    assert single == pytest.approx(8.0 * (300.0 + 60.0), rel=0.02)
    assert double == pytest.approx(8.0 * (600.0 + 60.0), rel=0.02)
    check_sums(world)


@pytest.mark.parametrize(
    ("scopes", "scope"),
    [
        (["gpu"], "gpu"),
        (["gpu", "cpu"], "gpu+cpu"),
        (["module", "cpu"], "module"),
        (["gpu", "module"], "module"),
        (["cpu"], "cpu"),
    ],
)
def test_the_scope_is_that_of_what_holds_most(scopes, scope):
    """A module's counter before a board with its host, and that before a board."""
    attribution = Attribution()
    for scope_ in scopes:
        attribution.add_device(Device(scope_, "device", scope=scope_))
    attribution.add_engine("model", COEFFICIENTS, scopes)
    options = {"prompt_tokens": 10.0, "sequences": 1, "is_streamed": True, "decodes": True}
    for at in (1000.0, 1000.3):
        for name in scopes:
            attribution.sample(Sample(name, at, 100.0 * at))
    work = attribution.begin("model", 1000.3, **options)
    work.chunks(1000.6, 1)
    for at in (1000.6, 1001.0, 1001.3):
        for name in scopes:
            attribution.sample(Sample(name, at, 100.0 * at))
    attribution.settle(1001.3)
    energy = attribution.energy("model", work.account)
    assert energy.scope == scope
    assert energy.joules > 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from(["run", "silent", "move", "answer"]), st.sampled_from("abc"), st.sets(st.sampled_from("123"))),
        max_size=12,
    )
)
def test_no_joule_is_lost_however_they_move(events):
    """Engines move between boards, boards fall silent for a while: every board's accounts sum to its counter."""
    world = World({name: VirtualDevice(name, 100.0 * int(name)) for name in "123"}, dict.fromkeys("abc", ("1",)))
    world.run(1.0)
    for kind, engine, boards in events:
        if kind == "run":
            world.run(0.5)
        elif kind == "move" and not world.attribution.engines[engine].works:
            world.attribution.move_engine(engine, sorted(boards))
        elif kind == "silent":
            held = {name: world.devices.pop(name) for name in boards}
            world.run(1.0)
            world.devices.update(held)
        elif kind == "answer":
            work = world.begin(engine)
            world.stream(work, 0.5)
            world.finish(work)
    world.run(2 + 8 * BIN_SECONDS)
    check_sums(world)
    check_memory(world)
