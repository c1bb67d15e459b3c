"""The processes of the demo: up together, down together, and said so when one does not come up."""

import os
import socket

import aiohttp
import pytest

from jevons.proxy.config_file import load_config
from jevons.proxy.errors import JevonsError
from jevons.proxy.simulation import demo_stack
from jevons.proxy.simulation.demo_stack import DemoStack


def is_running(pid):
    """Whether there is such a process; one that has been waited for is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_up_and_down():
    """Within it the proxy is ready in front of two servers that answer; after it nobody runs and no file is left."""
    async with DemoStack() as stack, aiohttp.ClientSession() as session:
        config = load_config(stack.config_path, {})
        assert {upstream.name: f"{root}/v1" for upstream, root in zip(config.upstreams, stack.servers.values(), strict=True)} == {
            upstream.name: upstream.url for upstream in config.upstreams
        }
        async with session.get(f"{stack.admin}/readyz") as reply:
            assert reply.status == 200
        async with session.get(f"{stack.main}/v1/models") as reply:
            assert {model["id"] for model in (await reply.json())["data"]} >= {"auto", *stack.servers}
        pids = [process.pid for process in stack._processes]
        assert all(map(is_running, pids))
        assert all(os.getsid(pid) != os.getsid(0) for pid in pids)
    assert not any(map(is_running, pids))
    assert not stack.config_path.parent.exists()


async def test_one_that_does_not_start(monkeypatch, capfd):
    """Where the proxy refuses to run the error names the verb, and the servers that were up are stopped."""
    monkeypatch.setattr(demo_stack, "CONFIG", "frobnicate: {listen} {admin} {direct} {reasoner} {gpu}\n")
    stack = DemoStack()
    with pytest.raises(JevonsError, match=r"^`jevons serve --config .*config\.yaml --log-level warning` did not start$"):
        await stack.__aenter__()
    assert len(stack._processes) == 3
    assert not any(is_running(process.pid) for process in stack._processes)
    assert not stack.config_path.parent.exists()
    assert "frobnicate: unknown key" in capfd.readouterr().err


async def test_a_proxy_that_is_not_ready(monkeypatch):
    """One that runs and never gets ready is an error with that reason, not a wait for ever."""
    stack = DemoStack()
    stack.admin = "http://127.0.0.1:9"
    try:
        with pytest.raises(JevonsError, match=r"^the proxy did not become ready: Cannot connect"):
            await stack._wait_until_ready()
        monkeypatch.setattr(demo_stack, "START_SECONDS", 0.0)
        with pytest.raises(JevonsError, match="no answer in time"):
            await stack._wait_until_ready()
    finally:
        await stack._stop()


def test_ports_that_are_taken():
    """The usual port is taken where it is free; else the system chooses."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert demo_stack._free(port) == 0
    assert demo_stack._free(port) == port
