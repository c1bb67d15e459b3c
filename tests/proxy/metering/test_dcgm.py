"""A node's boards by the page of dcgm-exporter, over a real HTTP server."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from node_server import fake_node

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.dcgm import DcgmMeter, parse_page

A, B = "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52", "GPU-15338f3e-5fd9-962d-921a-979b820520f0"


def line(field, value, uuid=A, host='hostname="node-7"', more=""):
    labels = f'gpu="0",UUID="{uuid}",pci_bus_id="00000000:8D:00.0",device="nvidia0",modelName="NVIDIA A100",{more}{host}'
    return f"{field}{{{labels}}} {value}\n"


def energy(value, **options):
    return line("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", value, **options)


def power(value, **options):
    return line("DCGM_FI_DEV_POWER_USAGE", value, **options)


def slice_of(number):
    return f'GPU_I_PROFILE="1g.10gb",GPU_I_ID="{number}",'


HEAD = """# HELP DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION Total energy consumption since boot (in mJ).
# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"} 41
"""


class Exporter:
    """A page, a clock moved by hand, and the meters that read it."""

    def __init__(self, node):
        self.node = node
        self.now = 10.0
        self.meters = []
        self.show(energy(5_000_000) + power("75.250000"))

    def show(self, text, **options):
        self.node.says("/metrics", HEAD + text, **options)

    def meter(self, ids=None):
        self.meters.append(DcgmMeter(f"{self.node.url}/metrics", ids, clock=lambda: self.now))
        return self.meters[-1]


@pytest.fixture
def exporter():
    with fake_node() as node:
        made = Exporter(node)
        yield made
        for meter in made.meters:
            meter.close()


@pytest.fixture
def opened(exporter):
    meter = exporter.meter()
    meter.open()
    return meter


def read_one(meter):
    (sample,) = meter.read()
    return sample


def test_a_board_says_that_it_is_coarse(exporter):
    """Its id is the UUID that NVML gives as well; that its counter moves every thirty seconds stands on the device."""
    (device,) = exporter.meter().open()
    url = exporter.node.url
    assert (device.id, device.name, device.scope) == (A, "node-7: NVIDIA A100", "gpu")
    assert (device.configured_as, device.aliases) == (f"dcgm+{url}/metrics", (f"dcgm+{url}/metrics/{A}",))
    assert (device.quality, device.update_seconds, device.counter_lag_seconds) == (frozenset({"coarse"}), 30.0, 0.5)


@pytest.mark.parametrize(
    ("host", "name"),
    [('hostname="new"', "new: NVIDIA A100"), ('Hostname="old"', "old: NVIDIA A100"), ('pod="x"', "127.0.0.1:")],
)
def test_the_host_is_named_by_either_label(exporter, host, name):
    """`hostname` since May 2026, `Hostname` before; without one, by its address."""
    exporter.show(energy(1, host=host))
    (device,) = exporter.meter().open()
    assert device.name.startswith(name)


def test_energy_and_power_come_in_joules_and_watts(exporter, opened):
    """Dated here, when the page was read."""
    sample = read_one(opened)
    assert (sample.device_id, sample.joules, sample.watts, sample.problem, sample.at) == (A, 5000.0, 75.25, None, 10.0)


def test_the_page_is_read_once_a_second(exporter, opened):
    """In between there is no sample, which is no failure."""
    read_one(opened)
    exporter.now += 0.9
    asked = len(exporter.node.asked)
    assert opened.read() == []
    assert len(exporter.node.asked) == asked
    exporter.now += 0.2
    assert read_one(opened).problem is None
    assert len(exporter.node.connections) == 1


def test_slices_are_never_summed(exporter):
    """Each slice repeats the board's figure, one of them a little later: it is one board, shared, with the latest of them."""
    exporter.show("".join(energy(5_000_000 + 10 * number, more=slice_of(number)) for number in range(7)) + energy(9, uuid=B))
    meter = exporter.meter()
    split, whole = meter.open()
    assert (split.name, split.quality) == ("node-7: MIG board: NVIDIA A100", frozenset({"coarse", "shared_device"}))
    assert whole.quality == frozenset({"coarse"})
    assert [sample.joules for sample in meter.read()] == [pytest.approx(5000.06), 0.009]


def test_pods_that_share_a_board_are_one_board(exporter):
    """Kubernetes labels repeat the line for each pod."""
    exporter.show(energy(5_000_000, more='pod="a",') + energy(5_000_000, more='pod="b",'))
    meter = exporter.meter()
    assert len(meter.open()) == 1
    assert read_one(meter).joules == 5000.0


def test_the_old_namespace_is_understood(exporter):
    """`--use-old-namespace` writes fields and the UUID's label in lower case."""
    exporter.show(f'dcgm_total_energy_consumption{{gpu="0",uuid="{A}",device="nvidia0"}} 3000\n')
    meter = exporter.meter()
    (device,) = meter.open()
    assert device.id == A
    assert read_one(meter).joules == 3.0


def test_only_the_boards_asked_for_are_read(exporter):
    """By the name that stands for one board of the page."""
    exporter.show(energy(1000) + energy(2000, uuid=B))
    meter = exporter.meter({f"dcgm+{exporter.node.url}/metrics/{B}"})
    assert [device.id for device in meter.open()] == [B]
    assert [sample.joules for sample in meter.read()] == [2.0]
    with pytest.raises(MeterError, match=f"no such board; there is {A}, {B}"):
        exporter.meter({"GPU-elsewhere"}).open()


def test_power_alone_is_passed_on(exporter):
    """A page without the counter."""
    exporter.show(power("50"))
    meter = exporter.meter()
    meter.open()
    sample = read_one(meter)
    assert (sample.joules, sample.watts, sample.problem) == (None, 50.0, None)


@pytest.mark.parametrize("text", ["", power("N/A"), energy(9223372036854775794), energy("NaN"), "DCGM_FI_DEV_POWER_USAGE{ 5\n"])
def test_a_page_without_figures_says_what_is_missing(exporter, text):
    """Nothing, blanks and broken lines are no boards."""
    exporter.show(text)
    with pytest.raises(MeterError, match="there is none at all: add DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION to its counters"):
        exporter.meter().open()


def test_a_board_that_leaves_the_page_is_a_gap(exporter, opened):
    """A lost GPU vanishes from the page: that is not 0, and its power alone does not stand in for its counter."""
    exporter.show(power(75))
    assert read_one(opened).problem.endswith("the board's energy is not on the page any more")
    exporter.show(energy(1, uuid=B))
    exporter.now += 1.0
    assert read_one(opened).problem.endswith("the board is not on the page any more")
    exporter.show(energy(6_000_000))
    exporter.now += 1.0
    assert read_one(opened).joules == 6000.0


def test_a_counter_that_goes_backward_is_passed_on(exporter, opened):
    """The driver was loaded anew: to judge it is the attribution's part."""
    read_one(opened)
    exporter.show(energy(1000))
    exporter.now += 1.0
    assert read_one(opened).joules == 1.0


@pytest.mark.parametrize(("status", "reason"), [(401, "HTTP 401"), (500, "HTTP 500"), (302, "redirects")])
def test_an_error_is_a_gap(exporter, opened, status, reason):
    """As when it asks for a password, which jevons has none for."""
    exporter.show("", status=status)
    sample = read_one(opened)
    assert (sample.joules, sample.watts) == (None, None)
    assert reason in sample.problem


def test_a_node_that_goes_down_is_a_gap_and_comes_back(exporter, opened):
    """Its boards say that nobody listens, and are read again once somebody does."""
    exporter.node.shut()
    assert "Connection re" in read_one(opened).problem
    with fake_node(port=int(exporter.node.url.rpartition(":")[2])) as again:
        again.says("/metrics", energy(7_000_000))
        exporter.now += 1.0
        assert read_one(opened).joules == 7000.0
        opened.close()


def test_a_closed_meter_reads_nothing(opened):
    """And asks nobody."""
    opened.close()
    assert opened.read() == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([A, B]), max_size=8), st.integers(0, 10**15), st.text(max_size=60))
def test_a_page_holds_each_board_once_whatever_else_it_holds(uuids, millijoules, noise):
    """Any number of lines of a board are that board once, and text that is no line changes nothing."""
    text = "".join(energy(millijoules, uuid=uuid) for uuid in uuids) + noise
    boards = parse_page(text)
    assert set(boards) == set(uuids)
    assert all(board.joules == millijoules / 1e3 for board in boards.values())
