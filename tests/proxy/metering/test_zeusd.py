"""A node's boards by zeusd, over a real HTTP server that answers as zeusd does."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from node_server import Reply, fake_node

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.zeusd import ZeusdMeter

GROUPS = ["gpu-read", "cpu-read"]


class Daemon:
    """What zeusd knows: boards with millijoules, milliwatts and errors. One that fails makes it withhold all that were asked."""

    def __init__(self, node):
        self.node = node
        self.meters = []
        self.now = 10.0
        self.energy_mj = {0: 5_000_000, 1: 7_000_000}
        self.power_mw = {0: 75_000, 1: 120_000}
        self.errors = {}
        self.discover(
            gpus=[
                {"id": 0, "name": "NVIDIA A40", "pci_address": "0000:01:00.0", "cumulative_energy_available": True},
                {"id": 1, "name": "NVIDIA A40", "pci_address": "0000:41:00.0", "cumulative_energy_available": True},
            ]
        )
        node.says("/gpu/get_power_limit", json.dumps({"0": {"power_limit_mw": 300_000}, "1": {"power_limit_mw": 250_000}}))
        node.replies["/gpu/get_cumulative_energy"] = lambda target: self.answer(target, self.energies)
        node.replies["/gpu/get_power"] = lambda target: self.answer(target, self.powers)

    def discover(self, **found):
        self.node.says("/discover", json.dumps({"enabled_api_groups": GROUPS, "auth_required": False} | found))

    def energies(self, numbers):
        return {str(number): {"energy_mj": self.energy_mj[number]} for number in numbers}

    def powers(self, numbers):
        return {"timestamp_ms": 1_762_000_000_000, "power_mw": {str(number): self.power_mw[number] for number in numbers}}

    def answer(self, target, give):
        parts = urlsplit(target)
        numbers = [int(number) for number in parse_qs(parts.query)["gpu_ids"][0].split(",")]
        failed = {number: text for (path, number), (_, text) in self.errors.items() if path in parts.path and number in numbers}
        if failed:
            status = max(status for (path, number), (status, _) in self.errors.items() if number in failed)
            return Reply(json.dumps({"errors": failed}).encode(), status)
        return Reply(json.dumps(give(numbers)).encode())

    def meter(self, ids=None, **options):
        meter = ZeusdMeter(self.node.url, ids, clock=lambda: self.now, **options)
        self.meters.append(meter)
        return meter


@pytest.fixture
def daemon():
    with fake_node() as node:
        made = Daemon(node)
        yield made
        for meter in made.meters:
            meter.close()


@pytest.fixture
def opened(daemon):
    meter = daemon.meter()
    meter.open()
    return meter


def test_boards_are_known_by_their_address_at_the_node(daemon, opened):
    """Each has the node in its id and its name, its limit, and the node's address as what a configuration calls it."""
    first, second = daemon.meter().open()
    url = daemon.node.url
    assert (first.id, first.name) == (f"{url}/gpu/0000:01:00.0", f"{url[7:]}: NVIDIA A40")
    assert (first.power_limit_watts, second.power_limit_watts) == (300.0, 250.0)
    assert (first.configured_as, second.aliases, first.scope) == (url, (f"{url}/gpu/1",), "gpu")
    assert opened.name == f"zeusd {url[7:]}"


def test_a_simulated_board_says_so_from_afar(daemon):
    """Its name still ends as every report looks for."""
    daemon.discover(gpus=[{"id": 0, "name": "NVIDIA H200 (simulated)"}])
    (device,) = daemon.meter().open()
    assert device.is_simulated


def test_energy_and_power_come_in_joules_and_watts(daemon, opened):
    """Dated here and not there: the node's clock is far from ours."""
    first, second = opened.read()
    assert (first.joules, first.watts, first.problem, first.at) == (5000.0, 75.0, None, 10.0)
    assert (second.joules, second.watts) == (7000.0, 120.0)


def test_the_node_is_not_asked_more_often_than_its_counters_move(daemon, opened):
    """In between there is no sample, which is no failure."""
    assert len(opened.read()) == 2
    daemon.now += 0.05
    asked = len(daemon.node.asked)
    assert opened.read() == []
    assert len(daemon.node.asked) == asked
    daemon.now += 0.06
    assert [sample.problem for sample in opened.read()] == [None, None]
    assert len(daemon.node.connections) == 1


def test_only_the_boards_asked_for_are_read(daemon):
    """By address or by number; the others are not even asked for."""
    for id_ in ("/gpu/0000:41:00.0", "/gpu/1"):
        meter = daemon.meter({daemon.node.url + id_})
        assert [device.id for device in meter.open()] == [f"{daemon.node.url}/gpu/0000:41:00.0"]
        assert [sample.joules for sample in meter.read()] == [7000.0]
        assert daemon.node.asked[-2:] == ["/gpu/get_cumulative_energy?gpu_ids=1", "/gpu/get_power?gpu_ids=1"]
    with pytest.raises(MeterError, match=r"zeusd has no such board; there is http://.*/gpu/0000:01:00\.0, "):
        daemon.meter({"elsewhere"}).open()


@pytest.mark.parametrize(
    "found",
    [
        {"gpu_ids": [0, 1], "cpu_ids": [], "dram_available": []},
        {"gpus": [{"id": 0, "name": "NVIDIA A40"}, {"id": 1, "name": "NVIDIA A40"}]},
    ],
)
def test_older_daemons_know_numbers_only(daemon, found):
    """Before the address was told the number stands in its place; the limit may be missing."""
    daemon.discover(**found)
    daemon.node.replies.pop("/gpu/get_power_limit")
    meter = daemon.meter()
    devices = meter.open()
    assert [device.id for device in devices] == [f"{daemon.node.url}/gpu/0", f"{daemon.node.url}/gpu/1"]
    assert [device.power_limit_watts for device in devices] == [None, None]
    assert [sample.joules for sample in meter.read()] == [5000.0, 7000.0]


def test_a_counter_that_zeusd_does_not_trust_is_not_asked_for(daemon):
    """Power is what there is then."""
    daemon.discover(gpus=[{"id": 0, "name": "AMD Instinct MI100", "cumulative_energy_available": False}, {"id": 1}])
    meter = daemon.meter()
    meter.open()
    first, second = meter.read()
    assert (first.joules, first.watts, first.problem) == (None, 75.0, None)
    assert second.joules == 7000.0
    assert "/gpu/get_cumulative_energy?gpu_ids=1" in daemon.node.asked


def test_a_counter_that_is_not_supported_is_found_out_once(daemon, opened):
    """An older zeusd says so only when asked; the other board is not touched by it."""
    daemon.errors["energy", 0] = (400, "NVML error: not supported")
    for _ in range(2):
        first, second = opened.read()
        assert (first.joules, first.watts, first.problem) == (None, 75.0, None)
        assert (second.joules, second.watts) == (7000.0, 120.0)
        daemon.now += 1.0
    assert daemon.node.asked.count("/gpu/get_cumulative_energy?gpu_ids=0,1") == 1


def test_one_board_that_fails_does_not_hide_the_other(daemon, opened):
    """Zeusd withholds all figures where one fails: the rest is asked for again; when it is well, it is read again."""
    daemon.errors["energy", 1] = (500, "NVML error: GPU is lost")
    first, second = opened.read()
    assert (first.joules, first.problem) == (5000.0, None)
    assert (second.joules, second.watts) == (None, None)
    assert second.problem.endswith(": NVML error: GPU is lost")
    daemon.errors.clear()
    daemon.now += 1.0
    assert [sample.problem for sample in opened.read()] == [None, None]


def test_all_boards_failing_is_as_many_reasons(daemon, opened):
    """Each says its own."""
    daemon.errors = {("energy", 0): (500, "lost"), ("energy", 1): (500, "hot")}
    assert [sample.problem.rpartition(": ")[2] for sample in opened.read()] == ["lost", "hot"]


def test_power_that_fails_leaves_the_counter(daemon, opened):
    """Per board or for the whole path, energy is what counts."""
    daemon.errors["power", 0] = (500, "no sensor")
    first, second = opened.read()
    assert (first.joules, first.watts, first.problem) == (5000.0, None, None)
    assert second.watts == 120.0
    daemon.node.says("/gpu/get_power", "gone", status=404)
    daemon.now += 1.0
    assert [(sample.joules, sample.watts) for sample in opened.read()] == [(5000.0, None), (7000.0, None)]


def test_a_board_with_neither_is_a_reason(daemon):
    """Without a counter, power that fails is a gap."""
    daemon.discover(gpus=[{"id": 0, "cumulative_energy_available": False}])
    daemon.errors["power", 0] = (500, "no sensor")
    meter = daemon.meter()
    meter.open()
    (sample,) = meter.read()
    assert (sample.joules, sample.watts) == (None, None)
    assert sample.problem.endswith(": no sensor")


@pytest.mark.parametrize(
    "garbage", ['{"0": {"energy_mj": "much"}}', '{"0": {"energy_mj": -1}}', '{"0": 5}', '{"0": {"energy_mj": true}}', "{}"]
)
def test_what_is_no_figure_is_a_gap(daemon, opened, garbage):
    """Not 0 and not the last one."""
    daemon.node.says("/gpu/get_cumulative_energy", garbage)
    first, second = opened.read()
    assert (first.joules, second.joules) == (None, None)
    assert first.problem.endswith("no figure for GPU 0")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("no json", 200, "no JSON"),
        ('{"error": "busy"}', 503, "HTTP 503"),
        ("", 401, "HTTP 401"),
        ('{"errors": 3}', 500, "HTTP 500"),
    ],
)
def test_an_answer_that_is_none_fails_every_board(daemon, opened, body, status, reason):
    """The reason is the same for all of them, and the node is left alone for a second."""
    daemon.node.says("/gpu/get_cumulative_energy", body, status=status)
    assert all(reason in sample.problem for sample in opened.read())
    daemon.now += 0.5
    assert opened.read() == []


def test_a_node_that_goes_down_is_a_gap_and_comes_back(daemon, opened):
    """Its boards say that nobody listens, and are read again once somebody does."""
    opened.read()
    daemon.node.shut()
    daemon.now += 1.0
    first, second = opened.read()
    assert "Connection re" in first.problem
    assert (second.joules, second.watts) == (None, None)
    with fake_node(port=int(daemon.node.url.rpartition(":")[2])) as again:
        Daemon(again)
        daemon.now = 20.0
        assert [sample.joules for sample in opened.read()] == [5000.0, 7000.0]
        opened.close()


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"gpus": []}, "zeusd has no such board; there is none at all"),
        ({"gpus": [{"id": 0}], "enabled_api_groups": ["cpu-read"]}, "does not serve gpu-read; start it with --enable gpu-read"),
        ({"gpus": [{"id": 0}], "auth_required": True}, "asks for a token; set ZEUSD_TOKEN"),
        ({"gpus": {}}, "zeusd lists no GPUs"),
        ({}, "zeusd lists no GPUs"),
        ({"gpus": [{"name": "x"}]}, "GPUs without a number"),
    ],
)
def test_reasons_not_to_open(daemon, found, reason):
    """What is missing is said, and what to do."""
    daemon.discover(**found)
    with pytest.raises(MeterError, match=reason):
        daemon.meter().open()


def test_a_token_goes_along(daemon):
    """Where the node asks for one."""
    daemon.discover(gpus=[{"id": 0}], auth_required=True)
    meter = daemon.meter(token="secret")
    meter.open()
    meter.read()
    assert {headers["authorization"] for headers in daemon.node.headers} == {"Bearer secret"}


def test_another_server_at_the_address_is_a_reason(daemon):
    """As when the port belongs to something else."""
    daemon.node.replies.clear()
    with pytest.raises(MeterError, match="HTTP 404 for /discover: not here"):
        daemon.meter().open()


def test_a_closed_meter_reads_nothing(opened):
    """And asks nobody."""
    opened.close()
    assert opened.read() == []
