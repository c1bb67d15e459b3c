"""Reading the configuration anew: what changes, what awaits a restart, what an error leaves as it was."""

import asyncio
import os
from contextlib import asynccontextmanager

import pytest
from proxy_client import CHAT, Proxy, running
from simulated_upstream import MODEL, until

from jevons.proxy.app import App
from jevons.proxy.config_file import load_config, parse_config
from jevons.proxy.errors import ConfigError
from jevons.proxy.keys import new_key
from jevons.proxy.reload import Reloader, as_it_runs, for_a_restart

pytest_plugins = ["simulation_fixture"]

TEXT = """
upstreams:
  - {name: chat, url: "http://127.0.0.1:1/v1", model: a}
  - {name: thinker, url: "http://127.0.0.1:1/v1", model: b, reasoning: always}
policies:
  - {type: rules, rules: [{name: proofs, when: {keywords: [prove]}, to: reasoning}]}
"""


@pytest.fixture
def config_file(tmp_path):
    """A configuration in a folder of its own."""
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    return path


@asynccontextmanager
async def watching(path, apply):
    """A reloader at work; what it made of each reading."""
    reloader, outcomes = Reloader(path, {}, apply), []
    task = asyncio.create_task(reloader.run(outcomes.append))
    await asyncio.sleep(0.3)  # until the folder is watched
    try:
        yield reloader, outcomes
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_changed_file_is_read(config_file):
    """Written in place, or put in its place as editors do; a file beside it that changes all the time is not."""
    taken = []
    async with watching(config_file, taken.append) as (reloader, outcomes):
        (config_file.parent / "jevons.db").write_text("busy")
        config_file.write_text(TEXT + "default: reasoning\n")
        await until(lambda: outcomes == [True])
        other = config_file.with_suffix(".new")
        other.write_text(TEXT + "drain_seconds: 3\n")
        other.rename(config_file)
        await until(lambda: outcomes == [True, True])
    assert [(config.default, config.drain_seconds) for config in taken] == [("reasoning", 30.0), ("direct", 3.0)]
    assert reloader.error is None


async def test_a_configmap_is_read_when_its_link_moves(tmp_path):
    """Kubernetes puts another folder behind a link, and the file is a link through it."""
    for name, text in (("first", TEXT), ("second", TEXT + "default: reasoning\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("first")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")
    taken = []
    async with watching(tmp_path / "config.yaml", taken.append) as (_, outcomes):
        (tmp_path / "..data_tmp").symlink_to("second")
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH104 - of a link, as Kubernetes does it
        await until(lambda: outcomes == [True])
    assert taken[0].default == "reasoning"


async def test_an_error_is_kept_until_it_is_gone(config_file):
    """Whether the file is wrong or what it asks for cannot be had; the same file is not read again, unless asked."""
    refuses = [True]

    def apply(_):
        if refuses[0]:
            raise ConfigError(["keys.yaml: No such file"])

    async with watching(config_file, apply) as (reloader, outcomes):
        config_file.write_text(TEXT + "defualt: direct\n")
        await until(lambda: outcomes == [False])
        assert "config.yaml:7:1: defualt: unknown key, did you mean default?" in reloader.error
        config_file.write_text(TEXT)
        await until(lambda: outcomes == [False, False])
        assert reloader.error == "keys.yaml: No such file"
        refuses[0] = False
        reloader.ask()
        await until(lambda: outcomes == [False, False, True])
        assert reloader.error is None


def test_what_awaits_a_restart_is_told_and_stays():
    """Sockets, devices and open files; the rest is taken over."""
    before = parse_config(TEXT)
    text = TEXT.replace("model: a", "model: c, devices: [GPU-1]").replace("policies:", "listen: 127.0.0.1:9999\npolicies:")
    after = parse_config(text + "default: reasoning\nauth: {allow_anonymous: true}\nenergy: {pue: 1.5}\n")
    assert for_a_restart(before, before) == []
    assert for_a_restart(before, after) == ["listen", "energy", "upstreams.0.devices"]
    runs = as_it_runs(before, after)
    assert (str(runs.listen), runs.energy.pue, runs.upstreams[0].devices) == ("127.0.0.1:8800", 1.0, None)
    assert (runs.default, runs.upstreams[0].model, runs.policies) == ("reasoning", "c", after.policies)


def test_keys_where_there_were_none_await_a_restart(tmp_path):
    """Or the listener would go on serving everybody."""
    (tmp_path / "keys.yaml").write_text(new_key("alice", "laptop")[1])
    after = parse_config(TEXT + "auth: {keys_file: keys.yaml}\n", folder=tmp_path)
    before = parse_config(TEXT)
    assert for_a_restart(before, after) == ["auth"]
    assert as_it_runs(before, after).auth is None
    assert for_a_restart(after, before) == ["auth"]


@asynccontextmanager
async def proxy_from(path, session):
    """A proxy that serves from a file."""
    app = App(load_config(path, {}), path)
    async with running(app) as addresses:
        yield Proxy(app, addresses.main, addresses.admin, session)


def write(path, upstreams, policies="[]", **more):
    """A configuration file for these servers on the simulated device."""
    lines = ["listen: 127.0.0.1:0", "admin: 127.0.0.1:0", "drain_seconds: 1", f"policies: {policies}", "upstreams:"]
    for name, upstream, gpu, kind in upstreams:
        fields = f"model: {MODEL}, dialect: vllm, devices: ['simulated:{gpu}'], reasoning: {kind}"
        lines.append(f"  - {{name: {name}, url: '{upstream.url}/v1', {fields}}}")
    path.write_text("\n".join([*lines, *(f"{key}: {value}" for key, value in more.items())]))


async def ask(proxy, text="Prove it", **options):
    """One chat; its reply."""
    return await proxy.post(CHAT, {"messages": [{"role": "user", "content": text}], "max_tokens": 20, **options})


async def reload(proxy):
    """Read the file anew, as SIGHUP does, and wait until that is done."""
    counted = sum(proxy.app.exporter._reloads[(outcome,)].value for outcome in ("ok", "failed"))
    proxy.app.reloader.ask()
    await until(lambda: sum(proxy.app.exporter._reloads[(one,)].value for one in ("ok", "failed")) > counted)


RULE = "[{type: rules, rules: [{name: proofs, when: {keywords: [prove]}, to: thinker}]}]"


async def test_a_running_proxy_takes_another_configuration(start_upstream, simulated_gpu, tmp_path, caplog):
    """Rules, a new upstream with its metrics, a removed one; what is wrong leaves everything as it was, and is told."""
    servers = [await start_upstream() for _ in range(3)]
    first, second, third = (
        (name, server, simulated_gpu.path, "never") for name, server in zip(("chat", "thinker", "new"), servers, strict=True)
    )
    path = tmp_path / "config.yaml"
    write(path, [first, second])
    async with proxy_from(path, servers[0].session) as proxy:
        assert (await ask(proxy)).headers["x-jevons-route"] == "default:direct;to=chat"

        write(path, [first, second, third], RULE.replace("thinker", "new"))
        await reload(proxy)
        reply = await ask(proxy)
        assert reply.headers["x-jevons-route"] == "rules:proofs;to=new"
        assert (await proxy.settled(reply.id))["energy"]["joules"] > 0
        assert (await proxy.metrics())["jevons_requests_total"]["ok", "new"] == 1
        assert "new" in [model["id"] for model in (await proxy.get("/v1/models")).json["data"]]

        path.write_text(path.read_text() + "\nlisten: nowhere\n")
        await reload(proxy)
        assert (await ask(proxy)).headers["x-jevons-route"] == "rules:proofs;to=new"
        async with proxy.session.get(f"{proxy.admin}/healthz") as response:
            config = (await response.json())["config"]
        assert "listen: given twice" in config["error"]

        write(path, [first, third], drain_seconds=5)
        path.write_text(path.read_text().replace("drain_seconds: 1\n", ""))
        await reload(proxy)
        assert (await ask(proxy, model="thinker")).status == 404
        async with proxy.session.get(f"{proxy.admin}/healthz") as response:
            config = (await response.json())["config"]
        assert (config["error"], config["awaits_restart"]) == (None, ["drain_seconds"])
        reloads = (await proxy.metrics())["jevons_config_reload_total"]
        assert (reloads["ok",], reloads["failed",]) == (2, 1)


async def test_servers_of_one_upstream_come_and_go(start_upstream, simulated_gpu, tmp_path):
    """One address, then two, then the other one: requests go where the file says, and every server is metered."""
    servers = [await start_upstream(remembers=99) for _ in range(2)]
    path = tmp_path / "config.yaml"
    write(path, [("chat", servers[0], simulated_gpu.path, "never")])
    one, two = (f"'{server.url}/v1'" for server in servers)
    async with proxy_from(path, servers[0].session) as proxy:
        text = path.read_text()
        for replaced, expected in ((f"url: {one}", [4, 0]), (f"urls: [{one}, {two}]", [6, 2]), (f"url: {two}", [6, 6])):
            path.write_text(text.replace(f"url: {one}", replaced))
            await reload(proxy)
            answers = [await ask(proxy, max_tokens=60, min_tokens=60) for _ in range(4)]  # each longer than a bin
            assert {(reply.status, reply.headers["x-jevons-upstream"]) for reply in answers} == {(200, "chat")}
            assert [len(server.server.received) for server in servers] == expected
            assert all([(await proxy.settled(reply.id))["energy"]["joules"] > 0 for reply in answers])
        assert proxy.app.metering.attribution.engines.keys() == {"chat", "chat#1", "chat#2"}


async def test_in_flight_requests_end_as_they_began(start_upstream, simulated_gpu, tmp_path):
    """A stream goes on through a reload that takes its upstream away, and settles its budget by the policies of its start."""
    servers = [await start_upstream() for _ in range(2)]
    first, second = (("chat", servers[0], simulated_gpu.path, "never"), ("other", servers[1], simulated_gpu.path, "never"))
    path = tmp_path / "config.yaml"
    write(path, [first, second], "[{type: budget, budgets: [{name: day, joules: 1e9}]}]")
    async with proxy_from(path, servers[0].session) as proxy:
        balances = proxy.app.router.memory.balances
        asking = asyncio.create_task(ask(proxy, max_tokens=3000, model="other", min_tokens=3000))
        await until(lambda: balances.reservations == 1 and proxy.is_serving())
        write(path, [first], RULE.replace("thinker", "chat"))
        await reload(proxy)
        assert (await ask(proxy, model="other")).status == 404
        reply = await asking
        assert (reply.status, reply.headers["x-jevons-upstream"]) == (200, "other")
        record = await proxy.settled(reply.id)
        assert record["energy"]["joules"] > 0
        await until(lambda: balances.reservations == 0)


async def test_keys_are_read_anew(start_upstream, simulated_gpu, tmp_path):
    """A key that is taken out of the file opens nothing any more; a new one does, and its tenant is named in the metrics."""
    upstream = await start_upstream()
    (old, old_line), (new, new_line) = new_key("alice", "laptop"), new_key("bob", "phone")
    (tmp_path / "keys.yaml").write_text(old_line)
    path = tmp_path / "config.yaml"
    write(path, [("chat", upstream, simulated_gpu.path, "never")], auth="{keys_file: keys.yaml}")
    async with proxy_from(path, upstream.session) as proxy:

        async def status(key):
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
            return (await proxy.post(CHAT, body, {"authorization": f"Bearer {key}"})).status

        assert [await status(old), await status(new)] == [200, 401]
        (tmp_path / "keys.yaml").write_text(new_line)
        await reload(proxy)
        assert [await status(old), await status(new)] == [401, 200]
        assert (await proxy.metrics())["jevons_tenant_requests_total"]["bob",] == 1
