"""The collector of cycles: set to rest, and with nothing to find on the request path."""

import asyncio
import gc
import subprocess
import sys

import pytest
from proxy_client import BODIES, CHAT
from simulated_upstream import until

from jevons.proxy.server.connection import FastConnection
from jevons.proxy.upstreams.connection import UpstreamConnection
from jevons.proxy.upstreams.silence import SilenceWatch

pytest_plugins = ["proxy_fixture"]


def test_what_was_made_at_the_start_is_set_aside():
    """In a process of its own: the thresholds and the switch interval are the process's."""
    code = (
        "import gc, sys; from jevons.proxy.garbage import settle_down, YOUNG_OBJECTS; settle_down(); "
        "assert gc.get_freeze_count() > 1000 and gc.get_threshold()[0] == YOUNG_OBJECTS and sys.getswitchinterval() < 0.005"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_requests_leave_no_cycles(start_upstream, start_proxy):
    """Reference counts free what they have made: the collector finds no object more for many requests than for few."""
    proxy = await start_proxy(await start_upstream())

    async def found_after(requests):
        gc.collect()
        gc.disable()
        try:
            async with proxy.dial() as client:
                for _ in range(requests):
                    await client.post(CHAT, BODIES[CHAT])
                    assert (await client.reply()).status == 200
            return gc.collect()
        finally:
            gc.enable()

    await found_after(4)
    assert await found_after(24) - await found_after(4) < 20


def live(*kinds):
    """How many objects of these classes there are."""
    return sum(isinstance(each, kinds) for each in gc.get_objects())


@pytest.mark.parametrize("leaves", ["behind an answer", "in the middle", "the slow path"])
async def test_who_leaves_is_freed_at_once(start_upstream, start_proxy, leaves):
    """The client's connection, and the model server's that is closed with it, need no collector; all share two timers."""
    proxy = await start_proxy(await start_upstream())

    async def come_and_go():
        async with proxy.dial() as client:
            if leaves == "the slow path":
                await client.head("GET /v1/models", {"host": "test"})
                await client.reply_head()
            elif leaves == "in the middle":
                await client.post(CHAT, {**BODIES[CHAT], "stream": True, "max_tokens": 5000})
                await client.reply_head()
            else:
                await client.post(CHAT, BODIES[CHAT])
                await client.reply()

    await come_and_go()
    await until(lambda: not proxy.is_serving())
    gc.collect()
    before, watches = live(FastConnection, UpstreamConnection), live(SilenceWatch)
    gc.disable()
    try:
        for _ in range(8):
            await come_and_go()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if (now := live(FastConnection, UpstreamConnection)) <= before:
                break
        assert now <= before
        assert live(SilenceWatch) == watches
    finally:
        gc.enable()
