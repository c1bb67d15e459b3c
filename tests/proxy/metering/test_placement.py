"""Looking up where servers run: in a thread of its own, again and again, and patient with one that is just being restarted."""

import asyncio
import threading
from dataclasses import replace

from jevons.proxy.exchange import Upstream
from jevons.proxy.metering.placement import PATIENCE_LOOKS, Placement
from jevons.proxy.metering.topology import Found
from jevons.proxy.metering.visible import Board

SERVERS = [Upstream("chat", "http://127.0.0.1:8000/v1", "m"), Upstream("thinker", "http://127.0.0.1:8001/v1", "m")]
NOWHERE = Found(None, "nothing listens")


class Driver:
    """Two boards, and a process on each."""

    def __init__(self):
        self.is_hanging = threading.Event()
        self.is_hanging.set()

    def boards(self):
        self.is_hanging.wait(5.0)
        return [Board("GPU-a", "card"), Board("GPU-b", "card")]

    def processes(self):
        return {"GPU-a": frozenset({1}), "GPU-b": frozenset({2})}


def on(*devices):
    return Found(frozenset(devices), f"on {devices}")


def changing():
    """Sockets that are others at every look."""
    counts = iter(range(1_000_000))
    return lambda _: frozenset({next(counts)})


def script(*looks):
    """A way to find that gives these one after the other, and the last for ever."""
    left = list(looks)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def test_every_server_is_looked_for_with_all_boards_and_processes():
    """Each by its own address."""
    asked = []

    def find(url, on_boards, boards):
        asked.append((url, on_boards, [board.uuid for board in boards]))
        return on("GPU-a")

    found = Placement(SERVERS, [Driver()], print, find=find).look()
    assert found == {"chat": on("GPU-a"), "thinker": on("GPU-a")}
    processes = {"GPU-a": frozenset({1}), "GPU-b": frozenset({2})}
    assert asked == [(upstream.base_url, processes, ["GPU-a", "GPU-b"]) for upstream in SERVERS]


def test_a_server_that_is_gone_for_a_moment_is_where_it_was():
    """Only when it was not found three times in a row is it anywhere; found again, it counts at once."""
    looks = [on("GPU-a"), NOWHERE, NOWHERE, on("GPU-b"), *[NOWHERE] * PATIENCE_LOOKS, on("GPU-a")]
    placement = Placement(SERVERS[:1], [Driver()], print, find=script(*looks), find_sockets=changing())
    believed = [placement.look()["chat"] for _ in looks]
    assert believed == [*[on("GPU-a")] * 3, *[on("GPU-b")] * PATIENCE_LOOKS, NOWHERE, on("GPU-a")]


def test_the_reason_is_the_latest():
    """Of a server that never was found."""
    finds = script(NOWHERE, Found(None, "another user's"))
    placement = Placement(SERVERS[:1], [Driver()], print, find=finds, find_sockets=changing())
    assert [placement.look()["chat"].reason for _ in range(2)] == ["nothing listens", "another user's"]


def test_processes_are_gone_through_when_something_has_changed():
    """Another socket, another process on a board: else a server is where it was, and is not looked for again."""
    asked, sockets, driver = [], [frozenset({7})], Driver()
    pids = {"GPU-a": frozenset({1})}
    driver.processes = lambda: dict(pids)

    def find(*_):
        asked.append(1)
        return on("GPU-a")

    placement = Placement(SERVERS[:1], [driver], print, find=find, find_sockets=lambda _: sockets[0])
    counts = []
    for change in (lambda: None, lambda: pids.update({"GPU-a": frozenset({2})}), lambda: sockets.insert(0, frozenset({8}))):
        change()
        for _ in range(3):
            assert placement.look() == {"chat": on("GPU-a")}
        counts.append(len(asked))
    assert counts == [1, 2, 3]


async def test_what_is_found_is_told_in_the_loop():
    """After every look, and the first can be waited for."""
    told = []
    placement = Placement(
        SERVERS,
        [Driver()],
        lambda name, found: told.append((name, found, threading.current_thread() is threading.main_thread())),
        look_seconds=0.001,
        find=lambda *_: on("GPU-b"),
    )
    placement.start()
    await asyncio.wait_for(placement.has_looked.wait(), 5.0)
    assert told[:2] == [("chat", on("GPU-b"), True), ("thinker", on("GPU-b"), True)]
    for _ in range(5000):
        if len(told) >= 6:
            break
        await asyncio.sleep(0.001)
    assert len(told) >= 6
    placement.close()
    count = len(told)
    await asyncio.sleep(0.01)
    assert len(told) == count


async def test_nobody_waits_for_a_driver_that_hangs():
    """Neither the loop nor the end: the thread is a daemon."""
    driver = Driver()
    driver.is_hanging.clear()
    placement = Placement(SERVERS, [driver], print, find=lambda *_: NOWHERE)
    placement.start()
    placement.close()
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "placement"} == {True}
    assert not placement.has_looked.is_set()
    driver.is_hanging.set()


def test_servers_whose_devices_are_named_are_not_looked_for():
    """Nor is the driver asked where there is no other; one that is added later is."""
    driver, upstreams = Driver(), [replace(SERVERS[0], devices=("GPU-a",))]
    asked = []
    driver.processes = lambda: asked.append(1) or {}
    placement = Placement(upstreams, [driver], print, find=lambda *_: on("GPU-a"))
    assert placement.look() == {}
    assert asked == []
    upstreams.append(SERVERS[1])
    assert placement.look() == {"thinker": on("GPU-a")}


async def test_with_nobody_to_ask_there_is_no_thread():
    """And nobody waits for it."""
    before = {thread.name for thread in threading.enumerate()}
    placement = Placement(SERVERS, [], print, find=lambda *_: NOWHERE)
    placement.start()
    await placement.wait_for_look(5.0)
    assert placement.has_looked.is_set()
    assert {thread.name for thread in threading.enumerate()} <= before
