"""AMD and Intel boards on trees as the kernel's drivers show them."""

from __future__ import annotations

import shutil

import pytest
from fake_trees import public_folder, without_privilege, write_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.hwmon import AMD_DRIVERS, INTEL_DRIVERS, HwmonMeter, unwrap, vendor_of, vendors_here

UNIQUE = "1948a1d3ec4ab5f1"


class Machine:
    """A tree under /sys with cards in it, and a clock moved by hand."""

    def __init__(self, root):
        self.root = root
        self.now = 500.0

    def card(self, number, pci, driver, *, hwmon=None, vendor="0x1002", **files):
        """A card as the kernel links it: class/drm/cardN/device leads to the PCI device that holds all."""
        device = f"devices/{pci}"
        monitor = f"{device}/hwmon/hwmon{number if hwmon is None else hwmon}"
        write_tree(
            self.root, {f"{device}/vendor": f"{vendor}\n", f"{device}/device": "0x740f\n", f"{monitor}/name": f"{driver}\n"}
        )
        write_tree(self.root, {f"{monitor}/{name}": f"{value}\n" for name, value in files.items()})
        (self.root / f"class/drm/card{number}").mkdir(parents=True)
        (self.root / f"class/drm/card{number}-DP-1").mkdir()
        (self.root / f"class/drm/card{number}/device").symlink_to(self.root / device)
        return self.root / monitor

    def meter(self, ids=None, **options):
        return HwmonMeter(ids, root=self.root, clock=lambda: self.now, **options)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def read_one(meter):
    (sample,) = meter.read()
    return sample


def run(machine, monitor, meter, seconds, *, watts, rate=1.0):
    """Let the board draw so much for so long, read twenty times a second; returns the samples."""
    samples = []
    energy = monitor / "energy1_input"
    for _ in range(round(seconds * 20)):
        machine.now += 0.05
        energy.write_text(str(int(energy.read_text()) + round(watts * rate * 50_000)))
        samples.append(read_one(meter))
    return samples


def test_an_amd_board_without_a_counter_gives_power(machine):
    """The driver's power in watts, under the unique id that ROCm uses, and nothing that was not read."""
    monitor = machine.card(1, "0000:03:00.0", "amdgpu", power1_average=215_000_000, power1_cap=300_000_000)
    write_tree(monitor.parent.parent, {"unique_id": UNIQUE + "\n", "product_name": "Instinct MI210\n"})
    meter = machine.meter()
    (device,) = meter.open()
    assert (device.id, device.name, device.scope) == (f"GPU-{UNIQUE}", "AMD GPU Instinct MI210", "gpu")
    assert (device.power_limit_watts, device.aliases) == (300.0, ("pci-0000:03:00.0",))
    sample = read_one(meter)
    assert (sample.joules, sample.watts, sample.problem, sample.at) == (None, 215.0, None, 500.0)


def test_newer_drivers_name_the_power_otherwise(machine):
    """Where there is no average, power1_input is read; a board without unique id is known by its address."""
    machine.card(0, "0000:0c:00.0", "amdgpu", power1_input=9_000_000)
    meter = machine.meter()
    (device,) = meter.open()
    assert (device.id, device.name, device.power_limit_watts) == ("pci-0000:0c:00.0", "AMD GPU 1002:740f", None)
    assert read_one(meter).watts == 9.0


def test_an_intel_board_is_its_card_counter_alone(machine):
    """Neither the package inside the card nor its tiles are added; a limit of 0 is none."""
    machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=7_500_000, energy2_input=5_000_000, power1_cap=0)
    tile = machine.root / "devices/0000:03:00.0/hwmon/hwmon9"
    write_tree(tile, {"name": "i915_gt0\n", "energy1_input": "3000000\n"})
    meter = machine.meter()
    (device,) = meter.open()
    assert (device.id, device.name, device.power_limit_watts) == ("pci-0000:03:00.0", "Intel GPU 8086:740f", None)
    sample = read_one(meter)
    assert (sample.joules, sample.watts, sample.problem) == (7.5, None, None)


def test_a_board_with_the_package_counter_only_gives_that(machine):
    """Older boards have no counter of the card."""
    machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy2_input=5_000_000)
    meter = machine.meter()
    meter.open()
    assert read_one(meter).joules == 5.0


def test_vendors_and_ids_are_told_apart(machine):
    """A meter has the boards of its drivers, and of those the ones it was asked for, by id or by address."""
    first = machine.card(0, "0000:03:00.0", "amdgpu", power1_average=10_000_000)
    machine.card(1, "0000:04:00.0", "amdgpu", power1_average=20_000_000)
    machine.card(2, "0000:05:00.0", "i915", vendor="0x8086", energy1_input=1)
    machine.card(3, "0000:06:00.0", "nouveau", vendor="0x10de", power1_input=1)
    write_tree(first.parent.parent, {"unique_id": "0x" + UNIQUE.upper()})
    amd, intel = machine.meter(drivers=AMD_DRIVERS), machine.meter(drivers=INTEL_DRIVERS)
    assert [device.id for device in amd.open()] == [f"GPU-{UNIQUE}", "pci-0000:04:00.0"]
    assert [device.id for device in intel.open()] == ["pci-0000:05:00.0"]
    assert (amd.name, intel.name) == ("amdgpu", "i915+xe")
    asked = machine.meter({"pci-0000:03:00.0"})
    assert [device.id for device in asked.open()] == [f"GPU-{UNIQUE}"]
    assert [sample.watts for sample in asked.read()] == [10.0]


@pytest.mark.parametrize("files", [{}, {"temp1_input": 41000}])
def test_a_machine_without_a_board_says_so(machine, files):
    """No card, or none that shows energy or power: the reason names the drivers that were looked for."""
    with pytest.raises(MeterError, match="no board with the driver amdgpu that shows energy or power"):
        machine.meter(drivers=AMD_DRIVERS).open()
    machine.card(0, "0000:03:00.0", "amdgpu", **files)
    with pytest.raises(MeterError, match="no board with the driver amdgpu that shows energy or power"):
        machine.meter(drivers=AMD_DRIVERS).open()


def test_a_board_that_is_not_there_leaves_the_known_ones_named(machine):
    """Asked for another id, the reason lists those that there are."""
    machine.card(0, "0000:03:00.0", "amdgpu", power1_average=1)
    with pytest.raises(MeterError, match=r"there are pci-0000:03:00\.0"):
        machine.meter({"pci-0000:09:00.0"}).open()


def test_a_counter_that_agrees_with_its_power_is_used_after_its_trial(machine):
    """For five seconds the reason says what is compared, then the counter's joules come."""
    monitor = machine.card(0, "0000:03:00.0", "amdgpu", power1_average=200_000_000, energy1_input=1_000_000)
    meter = machine.meter()
    meter.open()
    samples = run(machine, monitor, meter, 8, watts=200.0)
    assert samples[0].problem == "comparing the energy counter with the power readings for 5 s first"
    assert samples[-1].problem is None
    assert samples[-1].joules == pytest.approx(1 + 200 * 8, rel=1e-6)
    assert samples[-1].watts == 200.0


def test_a_counter_that_disagrees_with_its_power_is_refused(machine):
    """Neither figure is given then: which of the two is wrong nobody knows."""
    monitor = machine.card(0, "0000:03:00.0", "amdgpu", power1_average=200_000_000, energy1_input=1_000_000)
    meter = machine.meter()
    meter.open()
    sample = run(machine, monitor, meter, 10, watts=200.0, rate=0.1)[-1]
    assert (sample.joules, sample.watts) == (None, None)
    assert "its counter says" in sample.problem


def test_a_counter_that_goes_backward_is_refused(machine):
    """A fall that is no wrap says so, and is compared anew before it is believed again."""
    monitor = machine.card(0, "0000:03:00.0", "amdgpu", power1_average=200_000_000, energy1_input=9_000_000_000)
    meter = machine.meter()
    meter.open()
    run(machine, monitor, meter, 8, watts=200.0)
    (monitor / "energy1_input").write_text("5000000000")
    samples = run(machine, monitor, meter, 8, watts=200.0)
    assert "went backward" in samples[0].problem
    assert samples[-1].problem is None


def test_an_intel_counter_that_falls_is_passed_on(machine):
    """Without power there is nothing to compare with: the fall is shown, and judged by the attribution."""
    monitor = machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=9_000_000)
    meter = machine.meter()
    meter.open()
    assert read_one(meter).joules == 9.0
    (monitor / "energy1_input").write_text("1000000")
    assert read_one(meter).joules == 1.0


def test_a_counter_of_32_bits_goes_on_over_its_wrap(machine):
    """After 4295 J it begins again at 0; the sum does not."""
    monitor = machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=2**32 - 1_000_000)
    meter = machine.meter()
    meter.open()
    before = read_one(meter).joules
    (monitor / "energy1_input").write_text("500000")
    assert read_one(meter).joules - before == pytest.approx(1.5)


@settings(deadline=None)
@given(bits=st.sampled_from([32, 64]), below=st.integers(1, 2**28), above=st.integers(0, 2**28))
def test_a_wrap_is_told_from_a_step_back(bits, below, above):
    """Around the end of a range the difference is the way forward; anywhere else it is what it is."""
    assert unwrap(2**bits - below, above) == below + above
    assert unwrap(2**31 + below, 2**31) == -below
    assert unwrap(above, above + below) == below


def test_a_driver_loaded_anew_is_found_under_its_new_number(machine):
    """The monitor's number changes; the board is the same, and its counter is followed."""
    monitor = machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=5_000_000)
    meter = machine.meter()
    meter.open()
    read_one(meter)
    shutil.rmtree(monitor)
    assert "energy1_input cannot be read: No such file" in read_one(meter).problem
    write_tree(monitor.parent / "hwmon7", {"name": "xe\n", "energy1_input": "6000000\n"})
    assert read_one(meter).problem is not None  # it is not sought at every reading
    machine.now += 1.0
    read_one(meter)
    assert read_one(meter).joules == 6.0


@pytest.mark.parametrize(("text", "reason"), [("", "holds no number"), ("12 W", "holds no number"), ("-5", "holds -5")])
def test_garbage_is_a_gap(machine, text, reason):
    """What is no number names its file, and is not 0; another board goes on."""
    monitor = machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=5)
    machine.card(1, "0000:04:00.0", "xe", vendor="0x8086", energy1_input=6_000_000)
    meter = machine.meter()
    meter.open()
    (monitor / "energy1_input").write_text(text)
    bad, good = meter.read()
    assert bad.joules is None
    assert f"energy1_input {reason}" in bad.problem
    assert good.joules == 6.0


def test_a_power_that_cannot_be_read_is_a_gap(machine):
    """Also beside a counter, which cannot be compared then; unless there is another power to read."""
    machine.card(0, "0000:03:00.0", "amdgpu", power1_average="what")
    machine.card(1, "0000:04:00.0", "amdgpu", power1_average="what", power1_input=3_000_000)
    machine.card(2, "0000:05:00.0", "amdgpu", power1_average="what", energy1_input=2_000_000)
    meter = machine.meter()
    meter.open()
    alone, other, beside = meter.read()
    assert "power1_average holds no number" in alone.problem
    assert other.watts == 3.0
    assert (beside.joules, beside.watts) == (None, None)
    assert "power1_average holds no number" in beside.problem


def test_access_denied_is_a_gap_with_its_file():
    """A file that this user may not read is named."""
    with public_folder() as folder:
        machine = Machine(folder)
        monitor = machine.card(0, "0000:03:00.0", "xe", vendor="0x8086", energy1_input=5)
        meter = machine.meter()
        meter.open()
        (monitor / "energy1_input").chmod(0)
        with without_privilege():
            sample = read_one(meter)
    assert "energy1_input may not be read by this user" in sample.problem


def test_a_closed_meter_reads_nothing(machine):
    """And can be opened again."""
    machine.card(0, "0000:03:00.0", "amdgpu", power1_average=1_000_000)
    meter = machine.meter()
    meter.open()
    meter.close()
    assert meter.read() == []
    meter.open()
    assert read_one(meter).watts == 1.0


def test_whose_boards_there_are(machine):
    """NVIDIA's by the bus, the others where there is something to read: an Intel board without a counter is none."""
    assert vendors_here(machine.root) == frozenset()
    machine.card(0, "0000:03:00.0", "amdgpu", power1_average=1)
    machine.card(1, "0000:04:00.0", "i915", vendor="0x8086", temp1_input=1)
    assert vendors_here(machine.root) == {"amd"}
    for pci, vendor, kind in [
        ("01:00.0", "0x10de", "0x030200"),
        ("02:00.0", "0x10de", "0x040300"),
        ("05:00.0", "0x1a03", "0x030000"),
    ]:
        write_tree(machine.root / f"bus/pci/devices/0000:{pci}", {"vendor": vendor + "\n", "class": kind + "\n"})
    assert vendors_here(machine.root) == {"amd", "nvidia"}
    assert vendor_of("pci-0000:01:00.0", machine.root) == "nvidia"
    assert vendor_of("pci-0000:05:00.0", machine.root) is None
    assert vendor_of("pci-0000:09:00.0", machine.root) is None
