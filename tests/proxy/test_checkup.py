"""`jevons check`: what would run, which devices were found, and why others were not, as data and as text."""

import asyncio
import os
import time
from dataclasses import asdict

import pytest
from simulated_upstream import MODEL

from jevons.proxy.checkup import examine, render
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import NothingToRead
from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering import nvml
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.visible import Board

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
    assert report.keys() == {
        "version",
        "config",
        "policies",
        "upstreams",
        "devices",
        "meters_not_used",
        "meter_problems",
        "carbon",
        "ledger",
    }
    assert report["config"].keys() == {"hash", "listen", "admin", "default"}
    assert (report["config"]["listen"], report["config"]["admin"]) == ("127.0.0.1:8800", "127.0.0.1:9464")
    assert report["policies"][0] == "caller"
    [upstream] = report["upstreams"]
    assert (upstream["name"], upstream["model"], upstream["dialect"]) == ("chat", MODEL, "vllm")
    assert (upstream["up"], upstream["reason"]) == (True, None)
    assert (upstream["devices"], upstream["devices_not_found"]) == ([simulated_gpu.device_id], [])
    assert all(joules > 0 for joules in upstream["coefficients"].values())
    assert upstream["coefficients_from"].startswith("the table")
    assert upstream["coefficients_learned"] is None
    [device] = report["devices"]
    name = "NVIDIA H100 80GB HBM3 (simulated)"
    watts = pytest.approx(75.0)
    assert device == {"device": simulated_gpu.device_id, "name": name, "up": True, "reason": None, "watts": watts}
    assert (report["meters_not_used"], report["meter_problems"]) == ([], [])
    assert (upstream["devices_by"], upstream["devices_shared_with"]) == (None, [])
    text = render(report)
    assert f"device {simulated_gpu.device_id}: up, NVIDIA H100 80GB HBM3 (simulated), 75 W" in text.splitlines()
    assert f"    on {simulated_gpu.device_id}" in text.splitlines()
    assert "upstream chat: up" in text.splitlines()
    assert (upstream["counters"], upstream["is_estimated"], report["carbon"]) == ("read", False, None)
    assert "    its own token counters, which tell of traffic past jevons: read" in text.splitlines()


async def test_servers_that_share_a_device(report_on, simulated_gpu):
    """Both say so, and why that asks for a calibration; one that has been calibrated asks for none."""
    other = "{{name: other, url: '{url}/v1', model: %s, devices: ['simulated:{gpu}']%s}}]"
    report = await report_on(SOUND[:-1] + ", " + other % (MODEL, ""))
    assert [row["devices_shared_with"] for row in report["upstreams"]] == [["other"], ["chat"]]
    line = "        shares a device with %s: uncalibrated, its bounds are wide while neither rests"
    assert {line % "chat", line % "other"} <= set(render(report).splitlines())
    terms = ", ".join(f"{name}: {value}" for name, value in asdict(LEARNED).items())
    report = await report_on(SOUND[:-1] + ", " + other % (MODEL, f", energy: {{{{{terms}}}}}"))
    shown = render(report).splitlines()
    assert line % "other" in shown
    assert line % "chat" not in shown


LEARNED = Coefficients(3.5, 0.06, 3e-5, 0.02)
PAGE = "".join(f'jevons_coefficient{{upstream="chat",term="{term}"}} {value}\n' for term, value in asdict(LEARNED).items())


async def test_what_a_running_proxy_has_learned(report_on):
    """The admin address of the configuration is asked; what was learned there stands beside the start values."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(PAGE)}\r\n\r\n{PAGE}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as running:
        port = running.sockets[0].getsockname()[1]
        start = "{{fixed_joules_per_step: 3, joules_per_token: 0.05, joules_per_context_token: 0, joules_per_prompt_token: 0.1}}"
        report = await report_on(f"admin: 127.0.0.1:{port}\n" + SOUND.replace("name: chat,", f"name: chat, energy: {start},"))
    [upstream] = report["upstreams"]
    assert upstream["coefficients_from"] == "the configuration"
    assert upstream["coefficients"]["fixed_joules_per_step"] == 3
    assert upstream["coefficients_learned"] == asdict(LEARNED)
    lines = [line.strip() for line in render(report).splitlines()]
    assert any(line.startswith("starts from 3 J per step + 0.05 J per token") for line in lines)
    assert any(line.startswith("learned by the jevons that runs: 3.5 J per step") for line in lines)


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


class TwoBoards:
    """Two boards of which the second has just been lost, as an NVIDIA driver shows them."""

    name = "nvidia"
    problems = ("NVIDIA GPU 2: GPU is lost",)

    def open(self):
        return [Device("GPU-a", "A100"), Device("GPU-b", "A100")]

    def read(self):
        return [Sample(name, time.monotonic(), watts=100.0) for name in ("GPU-a", "GPU-b")]

    def close(self):
        """Nothing is held."""

    def boards(self):
        return [Board("GPU-a", "A100"), Board("GPU-b", "A100")]

    def processes(self):
        return {"GPU-a": frozenset(), "GPU-b": frozenset({os.getpid()})}


async def test_where_the_server_was_found(start_upstream, monkeypatch):
    """How that was done, or why it could not be; and what a meter that is used does not read."""
    monkeypatch.setattr("jevons.proxy.metering.devices.NvmlMeter", lambda *_: TwoBoards())
    monkeypatch.setattr("jevons.proxy.metering.topology.sees_host_pids", lambda _: True)
    upstream = await start_upstream()
    report = await examine(parse_config(f"upstreams: [{{name: chat, url: '{upstream.url}/v1', model: m}}]"))
    [chat] = report["upstreams"]
    assert chat["devices"] == ["GPU-b"]
    assert chat["devices_by"].startswith(f"process {os.getpid()} (")
    assert report["meter_problems"] == [{"meter": "nvidia", "reason": "NVIDIA GPU 2: GPU is lost"}]
    lines = render(report).splitlines()
    assert f"    looked for: {chat['devices_by']}" in lines
    assert "meter nvidia: NVIDIA GPU 2: GPU is lost" in lines
    report = await examine(parse_config(f"upstreams: [{{name: chat, url: '{upstream.url}/v1', model: m, devices: [all]}}]"))
    assert report["upstreams"][0]["devices"] == ["GPU-a", "GPU-b"]
    assert report["upstreams"][0]["devices_by"] is None
    report = await examine(parse_config("upstreams: [{name: chat, url: 'http://192.0.2.1/v1', model: m}]"))
    assert report["upstreams"][0]["devices"] == ["GPU-a", "GPU-b"]
    assert report["upstreams"][0]["devices_by"] == "192.0.2.1 is another host"


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
