"""The real process on NVIDIA's own bindings, above a simulated driver library: a GPU that is lost, and one that hangs."""

from __future__ import annotations

import re
import signal

import openai
import pytest
from jevons_process import CHAT_MODEL, final_record, get, run_jevons, until

from jevons.proxy.simulation.gpu import SimulatedGpu
from jevons.proxy.simulation.nvml import Fault, SimulatedNvml, uuid_of

pytest_plugins = ["nvml_fixture"]

ASK = [{"role": "user", "content": "What is the capital of Peru?"}]


@pytest.fixture
def driver(free_library, tmp_path):
    """Two simulated GPUs that draw 300 W and 100 W; `driver.environment()` shows them to a process."""
    with SimulatedNvml(free_library, tmp_path / "driver", gpus=2) as simulation:
        simulation.set_power(0, 300.0)
        simulation.set_power(1, 100.0)
        yield simulation


@pytest.fixture
def serve_on(serve, models, driver):
    """Start a proxy whose upstreams run on the first of them."""

    def start():
        text = models.config().replace(f"simulated:{models.gpu}", uuid_of(0))
        return serve(text, env=driver.environment())

    return start


def ask(process, *, model="chat", max_tokens=40):
    """One answer: its request id and its energy."""
    with openai.OpenAI(base_url=f"{process.main}/v1", api_key="none", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=ASK, max_tokens=max_tokens)
        return raw.headers["x-request-id"], raw.parse().usage.energy


def meter(process):
    """The one device of `/healthz`."""
    [found] = get(f"{process.admin}/healthz")[1]["meters"]
    return found


def test_joules_from_the_driver(serve_on, driver):
    """Power that the card draws while a request runs is on that request's account, and on no other card's."""
    process = serve_on()
    until(lambda: meter(process)["up"])
    assert meter(process)["device"] == uuid_of(0)
    request_id, _ = ask(process)
    record = final_record(process.main, request_id)
    assert record["energy"]["method"] == "simulated"  # as the device's name says
    assert 0.0 < record["energy"]["joules"] <= 300.0 * 30
    text = get(f"{process.admin}/metrics")[1]
    assert set(re.findall(r'jevons_meter_up\{device="([^"]+)"\}', text)) == {uuid_of(0)}


def test_a_gpu_is_lost_and_comes_back(serve_on, driver):
    """While it is lost `/healthz` and the metrics say so and why, requests go on without a figure; then it is up again."""
    process = serve_on()
    until(lambda: meter(process)["up"])
    driver.set_fault(0, Fault.LOST)
    until(lambda: not meter(process)["up"])
    assert "lost" in meter(process)["reason"].lower()
    assert f'jevons_meter_up{{device="{uuid_of(0)}"}} 0.0' in get(f"{process.admin}/metrics")[1]
    request_id, energy = ask(process, model="thinker", max_tokens=250)  # more than a second: too long to bridge unsaid
    assert energy["status"] == "provisional"
    assert energy["joules"] is None
    assert get(f"{process.admin}/readyz")[0] == 200

    driver.set_fault(0, Fault.NONE)
    until(lambda: meter(process)["up"])
    assert meter(process)["reason"] is None
    record = final_record(process.main, request_id)
    assert record["outcome"] == "ok"
    assert "interpolated" in record["energy"]["quality"]
    until(lambda: final_record(process.main, ask(process)[0])["energy"]["quality"] == [])
    assert process.stop() == 0


def test_a_driver_that_hangs_does_not_hold_up_the_end(serve_on, driver):
    """With a reading stuck in the driver the device is down for that reason, requests pass, and SIGTERM ends with 0."""
    process = serve_on()
    until(lambda: meter(process)["up"])
    driver.set_fault(0, Fault.HANG)
    until(lambda: not meter(process)["up"])
    assert "hang" in meter(process)["reason"]
    _, energy = ask(process)
    assert energy["joules"] is None
    assert process.stop() == 0
    assert "Traceback" not in process.errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_driver_that_hangs_at_the_start(processes, models, driver, tmp_path, number):
    """A signal that comes while the driver is being waited for ends the start there and then, with 0."""
    driver.set_fault(0, Fault.HANG)
    config = tmp_path / "config.yaml"
    config.write_text(models.config().replace(f"simulated:{models.gpu}", uuid_of(0)))
    process = processes.start("serve", "--config", config, env=driver.environment(), says=False)
    until(driver.hung_queries)
    assert process.stop(number) == 0
    assert process.errors == ""


def test_a_server_is_found_by_its_process(processes, driver, tmp_path):
    """Without devices in the configuration it is on the board that its process may use, and its requests pay for that one."""
    gpu = tmp_path / "gpu"
    SimulatedGpu.create(gpu).close()
    server = processes.start("simulate", "--gpu", gpu, "--model", CHAT_MODEL, env={"CUDA_VISIBLE_DEVICES": uuid_of(1)})
    config = tmp_path / "config.yaml"
    listens = "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"
    config.write_text(f"{listens}upstreams: [{{name: chat, url: '{server.main}/v1', model: {CHAT_MODEL}}}]\n")
    done = run_jevons("check", "--config", config, env=driver.environment())
    assert done.returncode == 0, done.stderr
    assert f"    on {uuid_of(1)}" in done.stdout
    assert f"    on {uuid_of(0)}" not in done.stdout
    assert f"has CUDA_VISIBLE_DEVICES={uuid_of(1)}" in done.stdout
    process = processes.start("serve", "--config", config, env=driver.environment())
    moved = until(lambda: [line for line in process.logs if line["event"] == "upstream runs on"])
    assert moved[0]["devices"] == [uuid_of(1)]
    record = final_record(process.main, ask(process)[0])
    assert record["energy"]["joules"] > 0.0
    text = get(f"{process.admin}/metrics")[1]
    attributed = dict(re.findall(r'jevons_energy_joules_total\{account="attributed",device="([^"]+)"\} (\S+)', text))
    assert float(attributed[uuid_of(0)]) == 0.0
    assert float(attributed[uuid_of(1)]) == pytest.approx(record["energy"]["joules"])
    assert process.stop() == 0


def test_check_says_which_devices_there_are(models, driver, tmp_path):
    """`jevons check` names the devices that were found, and those that are configured and were not."""
    config = tmp_path / "config.yaml"
    config.write_text(
        models.config().replace(f"'simulated:{models.gpu}'", f"{uuid_of(1)}, GPU-00000000-0000-4000-8000-000000000000")
    )
    done = run_jevons("check", "--config", config, env=driver.environment())
    assert done.returncode == 0, done.stderr
    assert f"device {uuid_of(1)}: up" in done.stdout
    assert "100 W" in done.stdout
    assert uuid_of(0) not in done.stdout
    assert "GPU-00000000-0000-4000-8000-000000000000: not found" in done.stdout
    done = run_jevons("check", "--config", config)  # without the simulated driver, whatever else there is
    assert done.returncode == 0, done.stderr
    assert "meter nvidia: not used: " in done.stdout
