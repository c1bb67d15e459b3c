"""The collector of cycles: set to rest, and with nothing to find on the request path."""

import gc
import subprocess
import sys

from proxy_client import BODIES, CHAT

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
