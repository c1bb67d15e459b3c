"""The first workers, forked from a process of one thread: a fresh one each time, since the tests' own may have several."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from simulated_upstream import until

from jevons.proxy.workers.forks import fork_workers

TESTS = Path(__file__).parents[2]
LIFE = """
import asyncio, json, os, signal, sys
from pathlib import Path
from workers_fixture import welcome
from jevons.proxy.workers.crew import Crew, reserve
from jevons.proxy.workers.forks import fork_workers

forks = fork_workers(2)
pids = [fork.pid for fork in forks.by_number.values()]

def words(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\\0")

async def life():
    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        quiet = {"receive": lambda *_: None, "joined": lambda _: None, "gone": lambda _: None}
        crew = Crew(2, greet=lambda number: welcome(port, number, 2), forks=forks, **quiet)
        running = asyncio.create_task(crew.run())
        await crew.is_complete.wait()
        names = [Path(f"/proc/{hand.process.pid}/comm").read_text().strip() for hand in crew.hands.values()]
        first = {number: hand.process.pid for number, hand in crew.hands.items()}
        victim, survivor = crew.hands[0].process, crew.hands[1].process
        os.kill(victim.pid, signal.SIGKILL)
        while not (crew.restarts and len(crew.hands) == 2 and all(hand.is_ready for hand in crew.hands.values())):
            await asyncio.sleep(0.02)
        again = crew.hands[0].process.pid
        said = {
            "problem": crew.problem, "names": names, "forked": pids, "first": list(first.values()), "killed": victim.returncode,
            "is_program": "jevons.proxy.workers.process" in words(again), "stays": crew.hands[1].process.pid == first[1],
        }
        await crew.drain(1.0)
        await running
        print(json.dumps({**said, "drained": survivor.returncode}))

asyncio.run(life())
"""
ORPHANS = """
import json, os, sys
from jevons.proxy.workers.forks import fork_workers
print(json.dumps([fork.pid for fork in fork_workers(2).by_number.values()]), flush=True)
sys.stdin.read()
"""


def start(program):
    """It, with its output and input open."""
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_forks_serve_and_are_replaced():
    """Both take up their work; one that is killed is replaced by a program of its own, and the other ends when it is drained."""
    process = start(LIFE)
    said = json.loads(process.communicate(timeout=60)[0].splitlines()[-1])
    assert process.returncode == 0
    assert said["problem"] is None
    assert said["names"] == ["jevons-worker"] * 2
    assert said["first"] == said["forked"]
    assert said["killed"] == -signal.SIGKILL
    assert said["is_program"]
    assert said["stays"]
    assert said["drained"] == 0


async def test_an_owner_that_is_gone_before_its_welcome():
    """Nobody waits for it."""
    process = start(ORPHANS)
    pids = json.loads(process.stdout.readline())
    assert len(pids) == 2
    process.kill()
    process.communicate()
    await until(lambda: not any(map(runs, pids)))


def runs(pid):
    """Whether that process is there, and not only its name for whoever asks how it has ended."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_process_with_threads_is_not_forked():
    """They would be missing from the fork, with whatever they hold: its workers are started later, as programs."""
    is_done = threading.Event()
    thread = threading.Thread(target=is_done.wait)
    thread.start()
    try:
        forks = fork_workers(2)
    finally:
        is_done.set()
        thread.join()
    assert not forks.by_number
    assert forks.counts.in_flight(0) == 0
    os.close(forks.descriptor)
