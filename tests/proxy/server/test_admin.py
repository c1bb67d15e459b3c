"""The admin listener: who may scrape, and what it says of health and readiness."""

import json
import re

import pytest
from proxy_client import free_port

pytest_plugins = ["proxy_fixture"]


async def get(proxy, path, **headers):
    """Status, headers and body of one GET on the admin listener."""
    async with proxy.session.get(proxy.admin + path, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def test_metrics_are_served_as_prometheus_wants_them(start_upstream, start_proxy):
    """In its text format, or as OpenMetrics where that is asked for."""
    proxy = await start_proxy(await start_upstream())
    status, headers, body = await get(proxy, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert b"jevons_device_energy_joules_total{" in body
    status, headers, body = await get(proxy, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer secret", 200),
        ("bearer  secret", 200),
        ("Bearer wrong", 401),
        ("Bearer secre", 401),
        ("Basic secret", 401),
        ("secret", 401),
        ("Bearer caf\xe9", 401),
    ],
)
async def test_metrics_want_the_admin_token(start_upstream, start_proxy, authorization, status):
    """Where one is set; probes do without."""
    proxy = await start_proxy(await start_upstream(), admin_token="secret")
    headers = {} if authorization is None else {"authorization": authorization}
    async with proxy.dial_admin() as client:
        await client.head("GET /metrics", {"host": "test", **headers})
        if status == 200:
            assert (await client.reply_head())[0] == 200
        else:
            reply = await client.reply()
            assert reply.status == 401
            assert reply.error["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
    assert (await get(proxy, "/healthz"))[0] == 200
    assert (await get(proxy, "/readyz"))[0] in {200, 503}


async def test_ready_is_who_has_an_upstream(start_upstream, start_proxy):
    """503 as long as none can be used; the process is healthy all the same."""
    proxy = await start_proxy({"url": f"http://127.0.0.1:{free_port()}"})
    status, _, body = await get(proxy, "/readyz")
    assert (status, body) == (503, b'{"ready": false}')
    assert (await get(proxy, "/healthz"))[0] == 200
    proxy = await start_proxy({"url": f"http://127.0.0.1:{free_port()}"}, await start_upstream())
    await proxy.ready()
    status, _, body = await get(proxy, "/readyz")
    assert (status, body) == (200, b'{"ready": true}')


async def test_health_tells_version_configuration_and_meters(start_upstream, start_proxy, simulated_gpu):
    """As the contract lists it."""
    proxy = await start_proxy(await start_upstream())
    async with proxy.session.get(f"{proxy.admin}/healthz") as response:
        health = await response.json()
    assert list(health) == ["status", "version", "config", "meters"]
    assert (health["status"], health["version"]) == ("ok", proxy.app.version)
    assert health["config"].keys() == {"hash", "loaded_at", "error"}
    (meter,) = health["meters"]
    assert (meter["device"], meter["up"], meter["reason"]) == (simulated_gpu.device_id, True, None)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/metrics/"])
async def test_nothing_else_is_there(start_upstream, start_proxy, path):
    """The surface and the admin listener do not mix."""
    proxy = await start_proxy(await start_upstream())
    assert (await get(proxy, path))[0] == 404


async def test_what_the_metrics_show_is_kept_first(start_upstream, start_proxy, tmp_path):
    """With a state file, nobody has seen more than the next process will begin with: the file is there when the page is."""
    path = tmp_path / "state.json"
    proxy = await start_proxy(await start_upstream(), energy={"state_file": str(path)})
    assert not path.exists()
    page = (await get(proxy, "/metrics"))[2].decode()
    kept = json.loads(path.read_text())["devices"]
    shown = re.findall(r'jevons_energy_joules_total\{account="(\w+)",device="([^"]+)"\} (\S+)', page)
    assert shown
    assert all(float(joules) <= kept[device]["accounts"][account] for account, device, joules in shown)
