"""A real Prometheus of a test's own, that scrapes one address several times a second."""

import asyncio
import shutil
from asyncio.subprocess import DEVNULL
from contextlib import asynccontextmanager

import pytest
from proxy_client import free_port

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no `prometheus` on this machine")
CONFIG = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: jevons
    static_configs: [{{targets: ["{target}"]}}]
"""


@asynccontextmanager
async def scraping(admin, session, folder):
    """`await query(promql)` gives the values of an instant query, once there are some."""
    address = f"127.0.0.1:{free_port()}"
    (folder / "prometheus.yaml").write_text(CONFIG.format(target=admin.removeprefix("http://")))
    options = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    process = await asyncio.create_subprocess_exec("prometheus", *options, stdout=DEVNULL, stderr=DEVNULL)

    async def ask(promql):
        try:
            async with session.get(f"http://{address}/api/v1/query", params={"query": promql}) as reply:
                return (await reply.json())["data"]["result"] if reply.status == 200 else []
        except OSError:  # it is still starting
            return []

    async def query(promql):
        for _ in range(600):
            if found := await ask(promql):
                return [float(one["value"][1]) for one in found]
            await asyncio.sleep(0.1)
        raise AssertionError(f"nothing for {promql}")

    try:
        yield query
    finally:
        process.terminate()
        await process.wait()
