"""slowhttptest against the real proxy: clients that trickle heads, bodies and reads neither stop others nor stay for ever."""

from __future__ import annotations

import asyncio
import shutil
import subprocess

import aiohttp
import pytest

CONNECTIONS = 150
ATTACK_SECONDS = 8
ORDINARY = {"model": "chat", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
ATTACKS = {
    "heads": ["-H", "-t", "GET", "-i", "2"],
    "bodies": ["-B", "-t", "POST", "-i", "2", "-s", "8192"],
    "reads": ["-X", "-t", "GET", "-w", "1", "-y", "8", "-n", "2", "-z", "8"],
}

pytestmark = pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="no `slowhttptest` on this machine")


def attack(main, kind):
    """Many connections at once, all of them slow, for some seconds."""
    url = f"{main}/v1/chat/completions" if kind == "bodies" else f"{main}/v1/models"
    bounds = ["-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", str(ATTACK_SECONDS), "-p", "3"]
    return subprocess.Popen(
        ["slowhttptest", *ATTACKS[kind], *bounds, "-u", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("kind", ATTACKS)
async def test_others_are_served_meanwhile(serve, models, kind):
    """Every ordinary request during the attack is answered, and the process ends as usual after it."""
    process = serve(models.config())
    attacker = attack(process.main, kind)
    statuses = []
    try:
        async with aiohttp.ClientSession() as session:
            while attacker.poll() is None:
                async with session.post(f"{process.main}/v1/chat/completions", json=ORDINARY) as reply:
                    await reply.read()
                    statuses.append(reply.status)
                await asyncio.sleep(0.05)
    finally:
        attacker.kill()
        attacker.wait()
    assert len(statuses) > 5
    assert set(statuses) == {200}
    assert process.stop() == 0
    assert "Traceback" not in process.errors
