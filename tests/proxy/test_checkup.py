"""`jevons check`: what would run, which devices were found, and why others were not, as data and as text."""

import asyncio

import pytest
from simulated_upstream import MODEL

from jevons.proxy.checkup import examine, render
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import NothingToRead
from jevons.proxy.metering import nvml

pytest_plugins = ["simulation_fixture"]


@pytest.fixture
async def report_on(start_upstream, simulated_gpu):
    """The report on a configuration with one server that runs, in which `{url}` and `{gpu}` are it and its GPU."""
    upstream = await start_upstream()

    async def examine_text(text):
        return await examine(parse_config(text.format(url=upstream.url, gpu=simulated_gpu.path)))

    return examine_text


SOUND = f"upstreams: [{{{{name: chat, url: '{{url}}/v1', model: {MODEL}, devices: ['simulated:{{gpu}}']}}}}]"


async def test_what_would_run(report_on, simulated_gpu):
    """Addresses, policies, the server's state and kind, its device with its power, and the energy model it starts from."""
    report = await report_on(SOUND)
    assert report.keys() == {"version", "config", "policies", "upstreams", "devices", "meters_not_used", "carbon"}
    assert report["config"].keys() == {"hash", "listen", "admin", "default"}
    assert (report["config"]["listen"], report["config"]["admin"]) == ("127.0.0.1:8800", "127.0.0.1:9464")
    assert report["policies"][0] == "caller"
    [upstream] = report["upstreams"]
    assert (upstream["name"], upstream["model"], upstream["dialect"]) == ("chat", MODEL, "vllm")
    assert (upstream["up"], upstream["reason"]) == (True, None)
    assert (upstream["devices"], upstream["devices_not_found"]) == ([simulated_gpu.device_id], [])
    assert all(joules > 0 for joules in upstream["coefficients"].values())
    [device] = report["devices"]
    name = "NVIDIA H100 80GB HBM3 (simulated)"
    watts = pytest.approx(75.0)
    assert device == {"device": simulated_gpu.device_id, "name": name, "up": True, "reason": None, "watts": watts}
    assert report["meters_not_used"] == []
    text = render(report)
    assert f"device {simulated_gpu.device_id}: up, NVIDIA H100 80GB HBM3 (simulated), 75 W" in text.splitlines()
    assert f"    on {simulated_gpu.device_id}" in text.splitlines()
    assert "upstream chat: up" in text.splitlines()
    assert (upstream["counters"], upstream["is_estimated"], report["carbon"]) == ("read", False, None)
    assert "    its own token counters, which tell of traffic past jevons: read" in text.splitlines()


async def test_a_server_that_is_down(report_on, unused_port):
    """It is named with the reason, and so is a device that nobody has; neither is an error of the check."""
    text = f"upstreams: [{{{{name: chat, url: 'http://127.0.0.1:{unused_port}/v1', model: m, devices: ['simulated:/nowhere']}}}}]"
    report = await report_on(text)
    [upstream] = report["upstreams"]
    assert upstream["up"] is False
    assert upstream["reason"]
    assert (upstream["devices"], upstream["devices_not_found"]) == ([], ["simulated:/nowhere"])
    assert report["devices"] == []
    [meter] = report["meters_not_used"]
    assert "/nowhere" in meter["reason"]
    lines = render(report).splitlines()
    assert f"upstream chat: down: {upstream['reason']}" in lines
    assert "    on no device: energy will be null" in lines
    assert "    on simulated:/nowhere: not found" in lines
    assert f"meter simulated: not used: {meter['reason']}" in lines


@pytest.fixture
async def unused_port():
    """A port on which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_where_nothing_can_be_read(start_upstream, monkeypatch):
    """Without any device the report says that energy will be estimated, or unknown where nothing is known of the model."""
    monkeypatch.setattr(nvml, "_load_bindings", no_driver)
    upstream = await start_upstream()
    text = f"upstreams: [{{name: chat, url: '{upstream.url}/v1', model: MODEL}}]"
    report = await examine(parse_config(text.replace("MODEL", "some-8b")))
    assert report["upstreams"][0]["is_estimated"] is True
    assert "    on no device that can be read: energy will be estimated" in render(report).splitlines()
    report = await examine(parse_config(text.replace("MODEL", "some-model")))
    assert "    on no device: energy will be null" in render(report).splitlines()


def no_driver():
    """As on a machine without an NVIDIA driver."""
    raise NothingToRead("no NVIDIA driver here")


async def test_the_grid(report_on, tmp_path):
    """The carbon intensity is asked for once, and reported with its source or the reason why there is none."""
    carbon = tmp_path / "carbon"
    carbon.write_text("231")
    report = await report_on(f"{SOUND}\nenergy: {{{{carbon: {{{{file: {carbon}}}}}}}}}")
    assert (report["carbon"]["source"], report["carbon"]["gco2e_per_kwh"]) == ("file", 231.0)
    assert "carbon intensity (file): 231 gCO2e per kWh" in render(report).splitlines()
    carbon.write_text("much")
    report = await report_on(f"{SOUND}\nenergy: {{{{carbon: {{{{file: {carbon}}}}}}}}}")
    reason = f"{carbon}: neither a number nor JSON"
    assert f"carbon intensity (file): unknown: {reason}" in render(report).splitlines()


async def test_a_check_leaves_the_state_file_alone(report_on, tmp_path):
    """What was consumed while jevons was down is still there for the next start."""
    path = tmp_path / "state.json"
    await report_on(f"{SOUND}\nenergy: {{{{state_file: {path}}}}}")
    assert not path.exists()
