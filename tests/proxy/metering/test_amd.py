"""The AMD meter over a stand-in for `amdsmi` at its Python interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.amd import AmdMeter

FAKE = Path(__file__).parents[2] / "fake_amdsmi"
NOT_SUPPORTED, NO_PERMISSION, NOT_LOADED = 2, 10, 34
MI300 = {
    "name": "AMD Instinct MI300X",
    "serial": "0x1948A1D3EC4AB5F1",
    "bdf": "0000:0C:00.0",
    "energy": 4_750_896_266,
    "power": {"current_socket_power": 140, "average_socket_power": "N/A"},
    "cap": 750_000_000,
}


class Machine:
    """The cards that the stand-in shows, and a clock moved by hand."""

    def __init__(self, file):
        self.file = file
        self.now = 100.0
        self.cards = []
        self.init = 0

    def write(self):
        self.file.write_text(json.dumps({"init": self.init, "cards": self.cards}))

    def add(self, **card):
        self.cards.append(MI300 | card)
        self.write()

    def meter(self, ids=None):
        return AmdMeter(ids, clock=lambda: self.now)

    def run(self, meter, seconds, watts, *, rate=1.0, card=0):
        """Draw so much for so long, read twenty times a second; returns the samples of one card."""
        samples = []
        self.cards[card]["power"] = {"current_socket_power": watts}
        for _ in range(round(seconds * 20)):
            self.now += 0.05
            self.cards[card]["energy"] += round(watts * rate * 0.05e6 / 15.259)
            self.write()
            samples.append(meter.read()[card])
        return samples


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The stand-in on the path, and no card in it yet."""
    monkeypatch.syspath_prepend(FAKE)
    monkeypatch.setenv("FAKE_AMDSMI", str(tmp_path / "cards.json"))
    made = Machine(tmp_path / "cards.json")
    made.write()
    yield made
    sys.modules.pop("amdsmi", None)


def test_boards_are_listed_by_their_unique_id(machine):
    """The id is the one that ROCm and the kernel know, the limit is in watts, the address is another name."""
    machine.add()
    machine.add(serial="N/A", bdf="0000:0D:00.0", cap=300)
    first, second = machine.meter().open()
    assert (first.id, first.name, first.power_limit_watts) == ("GPU-1948a1d3ec4ab5f1", "AMD GPU AMD Instinct MI300X", 750.0)
    assert (first.scope, first.aliases, first.is_simulated) == ("gpu", ("pci-0000:0c:00.0",), False)
    assert (second.id, second.power_limit_watts) == ("pci-0000:0d:00.0", 300.0)


def test_only_the_boards_asked_for_are_metered(machine):
    """By id or by address."""
    machine.add()
    machine.add(serial="0x2", bdf="0000:0D:00.0")
    assert [device.id for device in machine.meter({"pci-0000:0d:00.0"}).open()] == ["GPU-0000000000000002"]
    with pytest.raises(MeterError, match="no usable board"):
        machine.meter({"GPU-3"}).open()


def test_partitions_of_one_board_are_one_board(machine):
    """The same serial number again is no second board: the figure would be counted twice."""
    machine.add()
    machine.add(bdf="0000:0C:00.1")
    assert len(machine.meter().open()) == 1


@pytest.mark.parametrize("key", ["energy_accumulator", "power"])
def test_energy_is_the_accumulator_times_its_resolution(machine, key):
    """Under its present name and under the one before ROCm 6.4; believed once the power has borne it out."""
    machine.add(energy=0, energy_key=key)
    meter = machine.meter()
    meter.open()
    samples = machine.run(meter, 8, 200)
    assert samples[0].problem == "comparing the energy counter with the power readings for 5 s first"
    assert samples[-1].problem is None
    assert samples[-1].joules == pytest.approx(1600.0, rel=1e-3)
    assert (samples[-1].watts, samples[-1].at) == (200.0, pytest.approx(108.0))


def test_a_counter_at_a_wrong_rate_is_refused(machine):
    """As on an MI100 (ROCm/amdsmi issue 38): neither figure is given, and both are named."""
    machine.add()
    meter = machine.meter()
    meter.open()
    sample = machine.run(meter, 10, 200, rate=0.06)[-1]
    assert (sample.joules, sample.watts) == (None, None)
    assert "its counter says" in sample.problem


def test_a_counter_that_goes_backward_is_refused_until_it_was_compared_again(machine):
    """As seen in ROCm/amdsmi issue 115."""
    machine.add()
    meter = machine.meter()
    meter.open()
    machine.run(meter, 8, 200)
    machine.cards[0]["energy"] -= 14_000_000
    samples = machine.run(meter, 7, 200)
    assert "went backward" in samples[0].problem
    assert samples[-1].problem is None


def test_without_a_counter_there_is_power_alone(machine):
    """What is not supported is None and is not asked again."""
    machine.add(fails={"energy_count": NOT_SUPPORTED})
    meter = machine.meter()
    meter.open()
    for _ in range(2):
        (sample,) = meter.read()
        assert (sample.joules, sample.watts, sample.problem) == (None, 140.0, None)


@pytest.mark.parametrize(
    ("power", "watts"),
    [
        ({"average_socket_power": 98}, 98.0),
        ({"socket_power": 77}, 77.0),
        ({"current_socket_power": 0xFFFFFFFF, "average_socket_power": 51}, 51.0),
        ({"current_socket_power": 0xFFFF}, None),
        ({}, None),
    ],
)
def test_power_is_the_first_that_is_a_figure(machine, power, watts):
    """Current, else average, else the plain one; `N/A` and fillers are none of them."""
    machine.add(fails={"energy_count": NOT_SUPPORTED}, power=power)
    meter = machine.meter()
    meter.open()
    (sample,) = meter.read()
    assert sample.watts == watts
    assert (sample.problem is None) == (watts is not None)


@pytest.mark.parametrize("card", [{"fails": {"power_info": NOT_SUPPORTED}}, {"power": {}}])
def test_a_second_die_without_power_is_a_problem(machine, card):
    """It reports nothing of its own: said so, and not taken for 0."""
    machine.add(**card)
    meter = machine.meter()
    meter.open()
    (sample,) = meter.read()
    assert sample.joules is None
    assert "another die of the same card" in sample.problem


def test_a_failing_board_does_not_hide_the_others(machine):
    """At the start and at every reading, whatever is wrong with one is its own reason."""
    machine.add(fails={"bdf": NO_PERMISSION})
    machine.add(fails={"energy_count": NO_PERMISSION}, serial="0x2")
    machine.add(fails={"energy_count": NOT_SUPPORTED}, serial="0x3")
    meter = machine.meter()
    assert [device.id for device in meter.open()] == ["GPU-0000000000000002", "GPU-0000000000000003"]
    assert meter.problems == ["AMD GPU 0: AMDSMI_STATUS_NO_PERM - Permission Denied"]
    bad, good = meter.read()
    assert (bad.joules, bad.problem) == (None, "AMDSMI_STATUS_NO_PERM - Permission Denied")
    assert good.watts == 140.0


def test_garbage_from_the_counter_is_a_gap(machine):
    """What is no number is quoted."""
    machine.add(energy="N/A")
    meter = machine.meter()
    meter.open()
    (sample,) = meter.read()
    assert "the energy counter holds no number: {'energy_accumulator': 'N/A'" in sample.problem


def test_reasons_not_to_open(machine):
    """A driver that is not loaded, no card at all, none that answers: each in the library's own words."""
    with pytest.raises(MeterError, match=r"amdsmi has no usable board$"):
        machine.meter().open()
    machine.add(fails={"asic_info": NO_PERMISSION})
    with pytest.raises(MeterError, match="no usable board; AMD GPU 0: AMDSMI_STATUS_NO_PERM"):
        machine.meter().open()
    machine.init = NOT_LOADED
    machine.write()
    with pytest.raises(MeterError, match="amdsmi does not start: AMDSMI_STATUS_DRIVER_NOT_LOADED"):
        machine.meter().open()


def test_a_missing_package_is_named(monkeypatch):
    """Where it is not installed the reason says what to install."""
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(MeterError, match=r"pip install 'jevons\[amd\]'"):
        AmdMeter().open()


@pytest.mark.parametrize("failure", ["raise KeyError('libamd_smi.so')", "raise OSError('no library')", "None.amdsmi_init"])
def test_a_package_without_its_library_is_named(tmp_path, failure):
    """AMD's package prints to standard output and then fails in one of several ways: a report there stays whole."""
    (tmp_path / "amdsmi.py").write_text(f"print('Unable to find libamd_smi.so library')\n{failure}\n")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom jevons.proxy.errors import MeterError\n"
        "from jevons.proxy.metering.amd import AmdMeter\n"
        "try: AmdMeter().open()\nexcept MeterError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("amdsmi finds no library libamd_smi.so of its version")
    assert "Unable to find libamd_smi.so library" in done.stderr


def test_a_closed_meter_reads_nothing_and_can_be_opened_again(machine):
    """Closing lets go of the library."""
    machine.add(fails={"energy_count": NOT_SUPPORTED})
    meter = machine.meter()
    meter.open()
    meter.close()
    assert meter.read() == []
    meter.close()
    meter.open()
    assert [sample.problem for sample in meter.read()] == [None]
