"""`jevons demo`, the real thing with fewer questions: what it prints, and that it leaves nobody behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jevons_process import PATIENCE_SECONDS, until

RUN_DEMO = """
import asyncio, sys
import uvloop
from jevons.proxy.simulation.demo import Demo
from jevons.proxy.simulation.workload import load_questions
_, how, *ids = sys.argv
questions = [question for question in load_questions() if question.id in ids]
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    sys.exit(runner.run(Demo(stays_up=how == "stays", as_json=how == "json", questions=questions).run()))
"""
"""The demo as `jevons demo` runs it, but for its questions: the tests take those that the simulated models answer soonest."""
STACK_ONLY = """
import asyncio
from jevons.proxy.simulation.demo_stack import DemoStack
async def main():
    async with DemoStack():
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def descendants(pid):
    """The processes that a process has started, and theirs."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").glob("*") for child in (task / "children").read_text().split()]
    return children + [each for child in children for each in descendants(child)]


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def folders():
    """What demos have put into the folder for temporary files."""
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("jevons-demo-*"))  # noqa: S108 - where `tempfile` puts them


def test_json():
    """`--json` prints one object on standard output and nothing else there; the sums are right, and the exit code is 0."""
    command = [sys.executable, "-c", RUN_DEMO, "json", "logic-1", "everyday-6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() == {
        *("method", "device", "requests", "accounts", "device_joules", "residual"),
        *("routed_joules", "always_reasoning_joules", "listening"),
    }
    assert report["method"] == "simulated"
    assert report["device"].endswith("(simulated)")
    assert sum(report["accounts"].values()) == pytest.approx(report["device_joules"], rel=1e-9)
    assert report["routed_joules"] == pytest.approx(sum(request["energy"]["joules"] for request in report["requests"]))
    assert report["always_reasoning_joules"] > 1.5 * report["routed_joules"]
    assert [request["streamed"] for request in report["requests"]] == [True, False]
    for request in report["requests"]:
        assert (request["upstream"], request["route"]) == ("direct-8b", "default:direct;to=direct-8b")
        assert (request["energy"]["method"], request["energy"]["status"]) == ("simulated", "final")
        assert request["true_joules"] > 0.0
        assert (request["first_token_seconds"] is not None) is request["streamed"]


def test_table_and_interrupt(processes):
    """Piped, the table is complete; then everything stays up until Ctrl-C, which ends with 0 and leaves nobody behind."""
    before = folders()
    demo = processes.start("-c", RUN_DEMO, "stays", "logic-1", "mathematics-5", command=(sys.executable,))
    lines = [demo.line]
    while "Ctrl-C ends it." not in lines[-1]:
        lines.append(demo.popen.stdout.readline())
        assert lines[-1], demo.errors
    text = "".join(lines)
    children = descendants(demo.popen.pid)
    assert len(children) == 3
    demo.popen.send_signal(signal.SIGINT)
    text += demo.popen.stdout.read()
    assert demo.wait() == 0
    assert demo.errors == ""
    assert [child for child in children if is_running(child)] == []
    assert folders() == before
    rows = [line.rstrip() for line in lines if "8b (" in line]
    assert [row.split(" (")[1].split(")")[0] for row in rows] == ["rules:proofs", "default:direct"]
    assert [row for row in rows if not re.search(r"\d+ \(\d+\) +[\d,]+ +[\d,]+…[\d,]+ +[\d,]+( +[\d.]+ s)?$", row)] == []
    assert "against always reasoning (simulated)" in text


def test_a_signal_in_the_middle(processes):
    """SIGTERM while the questions are asked ends the demo without a traceback, and the other three with it."""
    before = folders()
    demo = processes.start("demo", "--once")
    children = until(lambda: (found := descendants(demo.popen.pid)) and len(found) == 3 and found)
    assert demo.stop(signal.SIGTERM) == 1
    assert "Traceback" not in demo.errors
    until(lambda: not any(map(is_running, children)))
    assert folders() == before


def test_no_parent_no_children(processes):
    """When the demo itself is killed, so that it cannot stop anybody, the other three end all the same."""
    before = folders()
    stack = processes.start("-c", STACK_ONLY, command=(sys.executable,))
    children = descendants(stack.popen.pid)
    assert len(children) == 3
    assert stack.stop(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(map(is_running, children)))
    for folder in folders() - before:  # nobody is left who could have
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def test_without_the_client():
    """Where `openai` is not installed the demo says so before it starts anything."""
    program = "import sys; sys.modules['openai'] = None; from jevons.proxy.cli import main; main(['demo', '--once'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("jevons: the demo asks through the `openai` client")
