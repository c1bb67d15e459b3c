"""What the NVIDIA meter makes of boards that are not one GPU: split ones, superchips, and those it was not asked for."""

import pytest

from jevons.proxy.metering.visible import Board
from jevons.proxy.simulation.nvml import Fault, slice_uuid_of, uuid_of

pytest_plugins = ["nvml_fixture"]

MILLIJOULE = 0.0011
"""The counter's resolution, and a little for binary fractions."""


def read_one(meter):
    (sample,) = meter.read()
    return sample


def test_a_slice_is_metered_as_its_board_once(simulate, metered):
    """Asked for two slices of one board, the board is read once, answers to both names, and says that it may be shared."""
    gpus = simulate(gpus=2, NVSIM_STEP_MS="0")
    gpus.set_slices(1, 3)
    meter = metered(gpus, uuids={slice_uuid_of(1, 0), slice_uuid_of(1, 2)})
    (device,) = meter.open()
    assert device.id == uuid_of(1)
    assert device.aliases == tuple(slice_uuid_of(1, number) for number in range(3))
    assert device.quality == {"shared_device"}
    before = read_one(meter).joules
    gpus.set_power(1, 400.0)
    gpus.advance(10.0)
    assert read_one(meter).joules - before == pytest.approx(4000.0, abs=MILLIJOULE)


@pytest.mark.parametrize("name", [f"MIG-{uuid_of(0)}/1/0", slice_uuid_of(0, 1)[:17], uuid_of(0)])
def test_a_board_is_found_by_every_form_of_its_name(simulate, metered, name):
    """The old form of a slice, the beginning of a new one, the board itself: whatever was asked for is an alias."""
    gpus = simulate(gpus=2)
    gpus.set_slices(0, 2)
    meter = metered(gpus, uuids={name})
    (device,) = meter.open()
    assert device.id == uuid_of(0)
    assert name in {device.id, *device.aliases}


def test_a_slice_that_is_not_there_is_named(simulate, metered):
    """As is a beginning that fits two."""
    gpus = simulate()
    gpus.set_slices(0, 2)
    meter = metered(gpus, uuids={uuid_of(0), slice_uuid_of(0, 5), "MIG-5e5e"})
    meter.open()
    assert meter.problems == ["MIG-5e5e: not found", f"{slice_uuid_of(0, 5)}: not found"]


def test_boards_are_listed_in_the_drivers_order(simulate, metered):
    """All of them, metered or not; a lost one keeps its place, so that an index means what it did."""
    gpus = simulate(gpus=3, NVSIM_LOST="1:0")
    gpus.set_slices(2, 1)
    meter = metered(gpus, uuids={uuid_of(0)})
    meter.open()
    name = "NVIDIA H200 (simulated)"
    assert meter.boards() == [
        Board(uuid_of(0), name),
        Board("NVIDIA GPU 1", "unreadable (GPU is lost)"),
        Board(uuid_of(2), name, (slice_uuid_of(2, 0),), is_split=True),
    ]


def test_a_superchip_is_metered_as_its_module(simulate, metered):
    """Where the GPU's own power is not to be had the module's is read, and the scope says so; the limit is not the GPU's."""
    gpus = simulate(gpus=2, NVSIM_STEP_MS="0", NVSIM_POWER_STEP_MS="0")
    gpus.set_fault(0, Fault.MODULE)
    gpus.set_power(0, 620.0)
    meter = metered(gpus)
    superchip, ordinary = meter.open()
    assert (superchip.scope, superchip.power_limit_watts) == ("module", None)
    assert (ordinary.scope, ordinary.power_limit_watts) == ("gpu", 700.0)
    gpus.advance(2.0)
    module, gpu = meter.read()
    assert (module.watts, gpu.watts) == (620.0, 50.0)
    assert module.joules == pytest.approx(gpus.true_joules(0), abs=MILLIJOULE)


@pytest.mark.parametrize(("fault", "watts"), [(Fault.NO_INSTANT, 300.0), (Fault.NO_POWER, None)])
def test_a_modules_power_comes_from_the_best_source_there_is(simulate, metered, fault, watts):
    """The module's average where there is no instant power; no power at all leaves the counter, and the GPU's scope."""
    gpus = simulate(NVSIM_STEP_MS="0", NVSIM_POWER_STEP_MS="0")
    gpus.set_fault(0, Fault.MODULE | fault)
    meter = metered(gpus)
    (device,) = meter.open()
    gpus.set_power(0, 300.0)
    gpus.advance(2.0)
    sample = read_one(meter)
    assert sample.joules is not None
    assert sample.watts == (None if watts is None else pytest.approx(watts))
    assert device.scope == ("gpu" if watts is None else "module")


def test_processes_of_a_split_board_are_those_of_its_slices(simulate, metered):
    """Also where the driver lists them by slice only."""
    gpus = simulate(gpus=2)
    gpus.set_slices(0, 2)
    gpus.set_processes(0, {11: 1, 12: 1, 13: 1})
    gpus.place_process(0, 11, 0)
    gpus.place_process(0, 12, 1)
    meter = metered(gpus)
    meter.open()
    assert meter.processes()[uuid_of(0)] == {11, 12, 13}
    gpus.set_fault(0, Fault.NO_PROCESSES)
    assert meter.processes()[uuid_of(0)] == {11, 12}
