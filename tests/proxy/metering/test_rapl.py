"""RAPL on trees of zones as the kernel shows them."""

from __future__ import annotations

import pytest
from fake_trees import public_folder, without_privilege, write_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.rapl import RaplMeter

RANGE_UJ = 65_532_610_987
"""What an Intel client processor says of itself: it wraps after 65.5 kJ."""


class Host:
    """A tree of zones and a clock moved by hand."""

    def __init__(self, root):
        self.root = root
        self.now = 1000.0

    def zone(self, path, name, energy_uj, range_uj=RANGE_UJ):
        write_tree(self.root, {f"{path}/name": f"{name}\n", f"{path}/max_energy_range_uj": f"{range_uj}\n"})
        self.set(path, energy_uj)

    def set(self, path, energy_uj):
        write_tree(self.root, {f"{path}/energy_uj": f"{energy_uj}\n"})

    def meter(self):
        return RaplMeter(self.root, clock=lambda: self.now)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def server(host):
    """Two sockets with memory, cores inside, a platform zone around, and the first package once more by MMIO."""
    host.zone("intel-rapl:0", "package-1", 1_000_000)
    host.zone("intel-rapl:0/intel-rapl:0:0", "core", 900_000)
    host.zone("intel-rapl:0/intel-rapl:0:1", "dram", 200_000)
    host.zone("intel-rapl:1", "package-0", 2_000_000)
    host.zone("intel-rapl:1/intel-rapl:1:0", "dram", 300_000)
    host.zone("intel-rapl:2", "psys", 9_000_000)
    host.zone("intel-rapl-mmio:0", "package-0", 2_000_000)
    write_tree(host.root, {"intel-rapl/enabled": "1\n"})


def read_one(meter):
    (sample,) = meter.read()
    return sample


def test_packages_and_memory_are_summed_once(host):
    """Neither the platform nor cores nor a second view of a package is counted beside the packages and their memory."""
    server(host)
    meter = host.meter()
    (device,) = meter.open()
    assert (device.id, device.scope) == ("cpu", "cpu")
    assert device.name == "host CPU (RAPL: package-1, dram of package-1, package-0, dram of package-0)"
    assert not device.is_simulated
    assert read_one(meter).joules == pytest.approx(3.5)
    host.now += 1.0
    for path, energy_uj in [("intel-rapl:0", 1_500_000), ("intel-rapl:1/intel-rapl:1:0", 400_000), ("intel-rapl:2", 9_900_000)]:
        host.set(path, energy_uj)
    sample = read_one(meter)
    assert (sample.joules, sample.at, sample.watts, sample.problem) == (pytest.approx(4.1), 1001.0, None, None)


def test_zones_behind_links_are_found(tmp_path):
    """The kernel's own tree: the class folder holds links, also to the inner zones, which are not counted twice by that."""
    devices = Host(tmp_path / "devices")
    devices.zone("intel-rapl:0", "package-0", 5_000_000)
    devices.zone("intel-rapl:0/intel-rapl:0:0", "dram", 1_000_000)
    root = write_tree(
        tmp_path / "class",
        {"intel-rapl:0": "-> ../devices/intel-rapl:0", "intel-rapl:0:0": "-> ../devices/intel-rapl:0/intel-rapl:0:0"},
    )
    meter = RaplMeter(root)
    meter.open()
    assert read_one(meter).joules == pytest.approx(6.0)


def test_two_dies_are_two_packages_and_one_name_is_one(host):
    """Each die of a package counts; a package that shows up under two numbers does so once."""
    host.zone("intel-rapl:0", "package-0-die-0", 1_000_000)
    host.zone("intel-rapl:1", "package-0-die-1", 2_000_000)
    host.zone("intel-rapl:2", "package-0-die-1", 2_000_000)
    meter = host.meter()
    (device,) = meter.open()
    assert device.name == "host CPU (RAPL: package-0-die-0, package-0-die-1; without memory)"
    assert read_one(meter).joules == pytest.approx(3.0)


def test_the_platform_stands_in_where_there_is_no_package(host):
    """The platform zone alone is better than nothing, and named."""
    host.zone("intel-rapl:0", "psys", 7_000_000)
    meter = host.meter()
    (device,) = meter.open()
    assert "psys" in device.name
    assert read_one(meter).joules == pytest.approx(7.0)


def test_a_wrap_is_bridged_in_the_zone_that_wrapped(host):
    """The sum goes on where one counter begins again at 0 and the other does not."""
    host.zone("intel-rapl:0", "package-0", RANGE_UJ - 1_000_000)
    host.zone("intel-rapl:1", "package-1", 10_000_000)
    meter = host.meter()
    meter.open()
    before = read_one(meter).joules
    host.now += 0.1
    host.set("intel-rapl:0", 500_000)
    host.set("intel-rapl:1", 10_250_000)
    assert read_one(meter).joules - before == pytest.approx(1.5 + 0.25)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1500)), min_size=1, max_size=60))
def test_the_sum_is_the_energy_however_often_the_counter_wraps(steps):
    """Whatever the host draws, read often enough the sum is what it drew, to the microjoule's rounding."""
    with public_folder() as folder:
        host = Host(folder)
        host.zone("intel-rapl:0", "package-0", 0, range_uj=40_000_000_000)
        meter = host.meter()
        meter.open()
        drawn = 0.0
        for seconds, watts in steps:
            host.now += seconds
            drawn += seconds * watts
            host.set("intel-rapl:0", round(drawn * 1e6) % 40_000_000_000)
            sample = read_one(meter)
            assert sample.problem is None
            assert sample.joules == pytest.approx(drawn, abs=1e-5)


def test_a_pause_in_which_it_may_have_wrapped_twice_is_a_gap(host):
    """What passed in it is not guessed; afterwards the sum goes on from where it was."""
    host.zone("intel-rapl:0", "package-0", 0)
    meter = host.meter()
    meter.open()
    host.now += 60.0
    host.set("intel-rapl:0", 3_000_000)
    sample = read_one(meter)
    assert sample.joules is None
    assert sample.problem == "package-0 was not read for 60 s, in which its counter may have wrapped more than once"
    host.now += 0.05
    host.set("intel-rapl:0", 3_500_000)
    assert read_one(meter).joules == pytest.approx(0.5)


def test_a_counter_that_begins_anew_is_no_wrap(host):
    """After the module was loaded again the counter is near 0: 65 kJ in a twentieth of a second is not believed."""
    host.zone("intel-rapl:0", "package-0", 30_000_000_000)
    meter = host.meter()
    meter.open()
    host.now += 0.05
    host.set("intel-rapl:0", 1_000)
    assert "began anew or leapt: now 1000 uJ" in read_one(meter).problem
    host.now += 0.05
    host.set("intel-rapl:0", 1_001_000)
    assert read_one(meter).joules == pytest.approx(30_001.0)


@pytest.mark.parametrize("text", ["0\n", "what\n"])
def test_without_a_range_a_fall_is_a_new_beginning(host, text):
    """A zone that does not say where it wraps is metered; only its wraps are gaps."""
    host.zone("intel-rapl:0", "package-0", 5_000_000)
    write_tree(host.root, {"intel-rapl:0/max_energy_range_uj": text})
    meter = host.meter()
    meter.open()
    host.now += 500.0
    host.set("intel-rapl:0", 6_000_000)
    assert read_one(meter).joules == pytest.approx(6.0)
    host.now += 0.05
    host.set("intel-rapl:0", 0)
    assert "began anew" in read_one(meter).problem


def test_access_denied_says_how_to_grant_it():
    """Since CVE-2020-8694 only root may read: the reason names the file and the rule that lets a group in."""
    with public_folder() as folder:
        host = Host(folder)
        host.zone("intel-rapl:0", "package-0", 1)
        (folder / "intel-rapl:0/energy_uj").chmod(0)
        with without_privilege(), pytest.raises(MeterError) as caught:
            host.meter().open()
    assert "intel-rapl:0/energy_uj is readable by root only since CVE-2020-8694" in str(caught.value)
    assert 'KERNEL=="intel-rapl:*", RUN+="/bin/chgrp jevons /sys%p/energy_uj"' in str(caught.value)


def test_access_lost_while_running_is_a_gap():
    """The same reason then stands in the sample."""
    with public_folder() as folder:
        host = Host(folder)
        host.zone("intel-rapl:0", "package-0", 1)
        meter = host.meter()
        meter.open()
        (folder / "intel-rapl:0/energy_uj").chmod(0)
        with without_privilege():
            sample = read_one(meter)
    assert sample.joules is None
    assert "CVE-2020-8694" in sample.problem


@pytest.mark.parametrize("text", ["", "garbage\n", "12.5\n"])
def test_garbage_is_a_gap_and_passes(host, text):
    """What is no number is a problem that names the file; the next good reading counts all that passed."""
    host.zone("intel-rapl:0", "package-0", 1_000_000)
    meter = host.meter()
    meter.open()
    host.now += 1.0
    write_tree(host.root, {"intel-rapl:0/energy_uj": text})
    assert "energy_uj cannot be read: invalid literal" in read_one(meter).problem
    host.now += 1.0
    host.set("intel-rapl:0", 4_000_000)
    assert read_one(meter).joules == pytest.approx(4.0)


def test_one_zone_that_fails_fails_the_sum(host):
    """A sum without one of its parts would be another sum; what the others drew meanwhile is not lost."""
    server(host)
    meter = host.meter()
    meter.open()
    (host.root / "intel-rapl:1/energy_uj").unlink()
    host.set("intel-rapl:0", 1_100_000)
    host.now += 1.0
    assert "intel-rapl:1/energy_uj cannot be read" in read_one(meter).problem
    host.now += 1.0
    host.set("intel-rapl:1", 2_000_000)
    assert read_one(meter).joules == pytest.approx(3.6)


def test_a_container_reads_the_hosts_tree(tmp_path, host):
    """Where the first root is hidden, the second is read."""
    host.zone("intel-rapl:0", "package-0", 5_000_000)
    meter = RaplMeter(tmp_path / "hidden", host.root)
    meter.open()
    assert read_one(meter).joules == 5.0


@pytest.mark.parametrize("zones", [{}, {"intel-rapl/enabled": "1\n"}, {"intel-rapl:0/energy_uj": "5\n"}])
def test_a_host_without_zones_says_so(tmp_path, zones):
    """No zone, or none with a name: the reason names the folder and the usual causes."""
    with pytest.raises(MeterError, match=r"no RAPL zone under .*a container hides it"):
        RaplMeter(write_tree(tmp_path, zones) / "").open()
    with pytest.raises(MeterError, match="no RAPL zone"):
        RaplMeter(tmp_path / "nowhere").open()


def test_a_closed_meter_reads_nothing(host):
    """And can be opened again."""
    server(host)
    meter = host.meter()
    meter.open()
    meter.close()
    assert meter.read() == []
    meter.open()
    assert read_one(meter).problem is None
