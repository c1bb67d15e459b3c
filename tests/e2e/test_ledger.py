"""The whole proxy with a ledger: rows of what passed, sums that are the devices', and requests that memory has forgotten."""

from __future__ import annotations

import asyncio
import json
import resource

import aiohttp
import pytest
from ledger_world import Database
from prometheus_client.parser import text_string_to_metric_families
from proxy_client import CHAT, Proxy, running
from simulated_upstream import FAST, MODEL, until
from structlog.testing import capture_logs

from jevons.proxy.app import App
from jevons.proxy.config import Config
from jevons.proxy.scraping import FRESH

pytest_plugins = ["proxy_fixture", "ledger_fixture"]

REQUESTS = 60
CONSERVED_TO = 1e-9


def ledger_section(database, **fields):
    """The configuration of a ledger there."""
    place = {"url": database.place} if isinstance(database.place, str) else {"path": str(database.place)}
    return {"ledger": {**place, "flush_seconds": 0.05, **fields}}


async def ask(proxy, place):
    """One short chat; every other one streamed."""
    body = {"messages": [{"role": "user", "content": f"Question {place}"}], "max_tokens": 8, "stream": place % 2 == 0}
    return await proxy.post(CHAT, body, {"x-jevons-session": f"session {place % 3}"})


async def scraped(proxy):
    """Every sample of /metrics, by name and labels."""
    _, text = await metrics_page(proxy)
    families = text_string_to_metric_families(text)
    return {(one.name, *sorted(one.labels.items())): one.value for family in families for one in family.samples}


async def metrics_page(proxy):
    """Status and text."""
    async with proxy.session.get(f"{proxy.admin}/metrics", headers=FRESH) as reply:
        return reply.status, await reply.text()


async def test_ledger_metrics_and_devices_have_the_same_sums(start_upstream, database, simulated_gpu):
    """After the end the rows' joules are what was attributed, the accounts what the device consumed, and both as scraped."""
    upstream = await start_upstream(physics=FAST)
    device_name = f"simulated:{simulated_gpu.path}"
    config = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "drain_seconds": 5,
        "upstreams": [{"name": "chat", "url": f"{upstream.url}/v1", "model": MODEL, "dialect": "vllm", "devices": [device_name]}],
        **ledger_section(database),
    }
    app = App(Config.model_validate(config))
    async with running(app) as addresses, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        proxy = Proxy(app, addresses.main, addresses.admin, session)
        ledgers = app.metering.attribution.devices.values()
        await until(lambda: all(ledger.counter.raw_joules is not None for ledger in ledgers))
        await asyncio.sleep(0.5)
        replies = await asyncio.gather(*(ask(proxy, place) for place in range(REQUESTS)))
        assert {reply.status for reply in replies} == {200}
        await until(lambda: not app.metering.attribution.engines["chat"].works)
        page = await scraped(proxy)
    state = app.metering.state()
    [device] = state.devices
    rows = database.rows("SELECT * FROM requests")
    assert {row["request_id"] for row in rows} == {reply.id for reply in replies}
    joules = [row["joules"] for row in rows]
    assert None not in joules
    assert sum(joules) == pytest.approx(device.accounts["attributed"], rel=CONSERVED_TO)
    assert page["jevons_request_energy_joules_sum", ("upstream", "chat")] == pytest.approx(sum(joules), rel=CONSERVED_TO)
    assert page["jevons_request_energy_joules_count", ("upstream", "chat")] == REQUESTS
    attempts = database.rows("SELECT * FROM attempts")
    assert sum(row["joules"] for row in attempts) == pytest.approx(sum(joules), rel=CONSERVED_TO)
    tokens = sum(row["completion_tokens"] for row in rows)
    assert page["jevons_tokens_total", ("type", "completion"), ("upstream", "chat")] == tokens
    accounts = database.rows("SELECT account, window_end, joules, total_joules FROM accounts ORDER BY window_end")
    last = {row["account"]: row["total_joules"] for row in accounts}
    assert last == {account: joules for account, joules in device.accounts.items() if joules}
    assert sum(row["joules"] for row in accounts) == pytest.approx(device.settled_joules, rel=CONSERVED_TO)
    assert page["jevons_ledger_dropped_total",] == 0
    assert len({row["session_hash"] for row in rows}) == 3


async def test_what_memory_has_forgotten_is_found_in_the_ledger(start_upstream, start_proxy, sqlite_database):
    """An evicted id is answered from the ledger as it was from memory, and takes feedback; an unknown one is 404."""
    proxy = await start_proxy(await start_upstream(), **ledger_section(sqlite_database))
    await asyncio.sleep(0.5)
    request_id = (await ask(proxy, 1)).id
    path = f"/v1/energy/{request_id}"

    async def is_final():
        return (await proxy.request("GET", path)).json["energy"]["status"] == "final"

    for _ in range(1000):
        if await is_final():
            break
        await asyncio.sleep(0.02)
    remembered = (await proxy.request("GET", path)).json
    await until(lambda: sqlite_database.rows("SELECT * FROM requests"))
    proxy.app.records._records.clear()
    recalled = await proxy.request("GET", path)
    assert recalled.status == 200
    assert recalled.json == remembered
    feedback = json.dumps({"request_id": request_id, "score": 0.25}).encode()
    assert (await proxy.request("POST", "/v1/feedback", data=feedback)).status == 200
    await until(lambda: sqlite_database.rows("SELECT score FROM feedback") == [{"score": 0.25}])
    assert (await proxy.request("GET", "/v1/energy/req_unknown")).status == 404


async def test_prompts_are_kept_only_where_that_was_asked_for(start_upstream, start_proxy, tmp_path, caplog):
    """Without `prompts: true` no text of a prompt is in the file; with it the text is, a warning said so, and memory has none."""
    upstream = await start_upstream()
    for keeps in (False, True):
        database = Database(tmp_path / f"{keeps}.db")
        proxy = await start_proxy(upstream, **ledger_section(database, prompts=keeps))
        await proxy.post(CHAT, {"messages": [{"role": "user", "content": "The password is swordfish."}], "max_tokens": 4})
        await until(lambda database=database: database.place.exists() and database.rows("SELECT * FROM requests"))
        [row] = database.rows("SELECT * FROM requests")
        assert (row["prompt"] is not None and "swordfish" in row["prompt"]) == keeps
        assert all(record.prompt is None for record in proxy.app.records._records.values())
    assert Database(tmp_path / "False.db").rows("SELECT prompt FROM requests") == [{"prompt": None}]


async def test_readiness_does_not_hang_on_the_database(start_upstream, start_proxy, postgres_cluster):
    """With the database away requests are served as ever and readiness is 200; the log has said so, once."""
    database = Database(postgres_cluster.make_database())
    postgres_cluster.stop()
    try:
        with capture_logs() as logs:
            proxy = await start_proxy(await start_upstream(), **ledger_section(database))
            assert (await ask(proxy, 1)).status == 200
            async with proxy.session.get(f"{proxy.admin}/readyz") as reply:
                assert reply.status == 200
    finally:
        postgres_cluster.start()
    assert [entry["event"] for entry in logs].count("ledger cannot be written") == 1


async def test_a_full_disk_costs_no_request(start_upstream, start_proxy, sqlite_database):
    """While the file may not grow requests are answered, metered and scraped as ever; then each has its row or is counted."""
    proxy = await start_proxy(await start_upstream(), **ledger_section(sqlite_database))
    await until(lambda: sqlite_database.place.exists() and sqlite_database.rows("SELECT * FROM runs"))
    balance = proxy.balance()
    folder = sqlite_database.place.parent
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs() as logs:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(path.stat().st_size for path in folder.iterdir()), hard))
        try:
            replies = [await ask(proxy, place) for place in range(20)]
            await until(lambda: any(entry["event"] == "ledger cannot be written" for entry in logs))
            status, _ = await metrics_page(proxy)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        replies.append(await ask(proxy, 20))
        await until(lambda: any(entry["event"] == "ledger is written again" for entry in logs))
    assert {reply.status for reply in replies} | {status} == {200}
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)
    ledger = proxy.app.ledger
    await until(lambda: len(sqlite_database.rows("SELECT * FROM requests")) + ledger.dropped == len(replies))
