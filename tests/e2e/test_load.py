"""Many streams at once through the real process, and whoever scrapes it meanwhile: the parts sum to the device, always."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from jevons_process import get, until
from prometheus_client.parser import text_string_to_metric_families

from jevons.proxy.scraping import FRESH

STREAMS = 32
CONSERVED_TO = 1e-9
MOST_IDLE_BYTES = 100 * 2**20
DISLIKED = ("jevons_counter_power_ratio ", "jevons_device_counter_joules_total ")
"""Names that the contract fixes and some releases of promtool would rather have otherwise."""


async def stream(session, main, place):
    """One streamed answer of its own length, from either model; returns its request id and its joules."""
    body = {
        "model": ("chat", "thinker")[place % 2],
        "messages": [{"role": "user", "content": f"Question {place}: why is the sky blue?"}],
        "max_tokens": 20 + 5 * place,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with session.post(f"{main}/v1/chat/completions", json=body) as reply:
        assert reply.status == 200
        lines = [line async for line in reply.content if line.startswith(b"data: {")]
        return reply.headers["x-request-id"], json.loads(lines[-1].removeprefix(b"data: "))["usage"]


async def scrape(session, admin):
    """The four accounts of the one device, and its own total, of one scrape."""
    async with session.get(f"{admin}/metrics", headers=FRESH) as reply:
        text = await reply.text()
    accounts, total = {}, 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "jevons_energy_joules_total":
                accounts[sample.labels["account"]] = sample.value
            elif sample.name == "jevons_device_energy_joules_total":
                total = sample.value
    return accounts, total


async def final_joules(session, main, request_id):
    """What a request was charged in the end."""
    while True:
        async with session.get(f"{main}/v1/energy/{request_id}") as reply:
            record = await reply.json()
        if record["energy"]["status"] == "final":
            assert record["outcome"] == "ok"
            return record["energy"]["joules"]
        await asyncio.sleep(0.05)


FIRST_READINGS_SECONDS = 0.5
"""Of what began before the device was first read, nobody knows all: such a request's joules are null."""


async def test_the_parts_sum_to_the_device(serve):
    """Under 32 concurrent streams every scrape conserves to 1e-9; in the end the requests have what was attributed."""
    process = serve()
    await asyncio.sleep(FIRST_READINGS_SECONDS)
    scrapes = []

    async def keep_scraping():
        while True:
            scrapes.append(await scrape(session, process.admin))
            await asyncio.sleep(0.01)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        scraping = asyncio.create_task(keep_scraping())
        replies = await asyncio.gather(*(stream(session, process.main, place) for place in range(STREAMS)))
        joules = await asyncio.gather(*(final_joules(session, process.main, request_id) for request_id, _ in replies))
        scraping.cancel()
        with suppress(asyncio.CancelledError):
            await scraping
        accounts, _ = await scrape(session, process.admin)
    # Before the first bin has settled nobody knows the price: then a provisional figure is null, and only the final one is owed.
    assert all("joules" in usage["energy"] for _, usage in replies)
    assert None not in joules
    assert len(scrapes) > 10
    for parts, total in scrapes:
        assert parts.keys() == {"attributed", "idle", "bypass", "unresolved"}
        assert sum(parts.values()) == pytest.approx(total, rel=CONSERVED_TO, abs=CONSERVED_TO)
    assert sum(joules) == pytest.approx(accounts["attributed"], rel=CONSERVED_TO)
    assert process.stop() == 0
    assert "Traceback" not in process.errors


def test_at_rest_it_is_small(serve):
    """Idle, the process holds less than 100 MB."""
    process = serve()
    until(lambda: get(f"{process.admin}/readyz")[0] == 200)
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024 < MOST_IDLE_BYTES


needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no `prometheus` on this machine")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no `promtool` on this machine")


@needs_promtool
def test_promtool_takes_the_metrics(proxy):
    """`promtool check metrics` has nothing against the page but what the contract's names bring with them."""
    _, page = get(f"{proxy.admin}/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    problems = (done.stdout + done.stderr).splitlines()
    assert page.startswith("# HELP ")
    assert [problem for problem in problems if not problem.startswith(DISLIKED)] == []
    assert done.returncode in {0, 3}


PROMETHEUS_CONFIG = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: jevons
    static_configs: [{{targets: ["{target}"]}}]
"""


@pytest.fixture
def prometheus(processes, proxy, tmp_path):
    """A real Prometheus that scrapes the proxy four times a second; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "prometheus.yaml").write_text(PROMETHEUS_CONFIG.format(target=urlsplit(proxy.admin).netloc))
    processes.start(
        f"--config.file={tmp_path}/prometheus.yaml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
        command=("prometheus",),
        says=False,
    )
    return f"http://{address}"


def query(prometheus, promql):
    """The result of an instant query; None while there is none."""
    try:
        status, body = get(f"{prometheus}/api/v1/query?query={quote(promql)}")
    except ConnectionError:
        return None
    return body["data"]["result"] if status == 200 else None


CONSERVATION = """
max_over_time((
  abs(sum by (device) (jevons_energy_joules_total) - on (device) jevons_device_energy_joules_total)
  / on (device) jevons_device_energy_joules_total
)[1m:50ms])
"""


@needs_prometheus
async def test_a_real_prometheus_sees_the_parts_sum(prometheus, proxy):
    """Whatever scrape of a load it looks at, the four accounts are the device's settled energy."""
    until(lambda: query(prometheus, "jevons_meter_up == 1"))
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(stream(session, proxy.main, place) for place in range(STREAMS // 2)))
    [worst] = query(prometheus, CONSERVATION)
    assert float(worst["value"][1]) <= CONSERVED_TO
    [scrapes] = query(prometheus, 'sum_over_time(up{job="jevons"}[1m])')
    assert int(scrapes["value"][1]) >= 4
    until(lambda: query(prometheus, 'rate(jevons_energy_joules_total{account="attributed"}[1m]) > 0'))
