"""The state file: believed within one boot and for what can be, whole at any moment, and never a reason not to start."""

import asyncio
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_upstream import until
from structlog.testing import capture_logs

from jevons.proxy.metering import state_file
from jevons.proxy.metering.state_file import SavedCounter, StateFile, consumed_since, read_boot_id

COUNTERS = {"GPU-1": SavedCounter(123_456.75, 1000.0, {"attributed": 12.5, "idle": 0.25}), "GPU-2": SavedCounter(0.0, 1000.0)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.json"


async def test_what_was_saved_is_loaded(path):
    """To the last digit, by whoever runs within the same boot."""
    await StateFile(path, boot_id="boot").save(COUNTERS)
    assert StateFile(path, boot_id="boot").load() == COUNTERS


async def test_another_boot_knows_nothing(path):
    """Counters begin anew with a boot, and so does what is known of them; without boot ids none can be told from another."""
    await StateFile(path, boot_id="boot").save(COUNTERS)
    assert StateFile(path, boot_id="another").load() == {}
    await StateFile(path, boot_id=None).save(COUNTERS)
    assert StateFile(path, boot_id=None).load() == {}


def test_without_a_file_all_is_new(path):
    """The first start is no reason for a warning."""
    with capture_logs() as logs:
        assert StateFile(path, boot_id="boot").load() == {}
    assert logs == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"version": 1, "boot_id": "boot", "devices": {}}',
        b'{"version": 2, "boot_id": "boot"}',
        b'{"version": 2, "boot_id": "boot", "devices": {"GPU-1": 5}}',
        b'{"version": 2, "boot_id": "boot", "devices": {"GPU-1": {"joules": "many", "at": 1, "accounts": {}}}}',
        b'{"version": 2, "boot_id": "boot", "devices": {"GPU-1": {"joules": 1, "at": 1, "accounts": {"idle": -1}}}}',
        b'{"version": 2, "boot_id": "boot", "devices": {"GPU-1": {"joules": 1, "at": 1}}}',
        b'{"version": 2, "boot_id": "boot", "devices": {"GPU-1": {"joules": NaN, "at": 1, "accounts": {}}}}',
        b"[" * 100_000,
    ],
)
def test_a_corrupt_file_is_a_warning(path, content):
    """And a fresh start."""
    path.write_bytes(content)
    with capture_logs() as logs:
        assert StateFile(path, boot_id="boot").load() == {}
    assert [(line["log_level"], line["event"]) for line in logs] == [("warning", "state file not usable, starting anew")]


@given(st.binary(max_size=60))
def test_any_bytes_can_be_there(tmp_path_factory, content):
    """Whatever is in the file, the proxy starts."""
    path = tmp_path_factory.mktemp("state") / "state.json"
    path.write_bytes(content)
    assert StateFile(path, boot_id="boot").load() == {}


async def test_the_file_is_whole_at_any_moment(path, monkeypatch):
    """Killed while it writes, the old one is there and whole; nothing else is left when it writes again."""
    file = StateFile(path, boot_id="boot")
    await file.save(COUNTERS)

    def write_half(new, content):
        with new.open("wb") as half:
            half.write(content[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(type(path), "write_bytes", write_half)
        await file.save({})
        await file.save({})
    assert StateFile(path, boot_id="boot").load() == COUNTERS
    assert [(line["log_level"], line["reason"]) for line in logs] == [("warning", "no space left on device")]
    await file.save({})
    assert [left.name for left in path.parent.iterdir()] == ["state.json"]
    assert StateFile(path, boot_id="boot").load() == {}


async def test_it_is_written_again_and_again(path, monkeypatch):
    """With what the counters show by then."""
    monkeypatch.setattr(state_file, "WRITE_SECONDS", 0.001)
    counters = {}
    file = StateFile(path, boot_id="boot")
    task = asyncio.create_task(file.keep(lambda: counters))
    await until(path.exists)
    counters.update(COUNTERS)
    await until(lambda: file.load() == COUNTERS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_disk_that_hangs_does_not_hold_up_the_end(path, monkeypatch):
    """Writing has a deadline where somebody waits for it, and only one thread is left hanging."""
    may_end = threading.Event()
    writes = []

    def hang(*written):
        writes.append(written)
        may_end.wait(5.0)

    monkeypatch.setattr(StateFile, "_write", hang)
    file = StateFile(path, boot_id="boot")
    for _ in range(5):
        await file.save_soon(COUNTERS, 0.01)
    assert len(writes) == 1
    may_end.set()


async def test_nothing_older_is_written_over_newer(path):
    """However many want to write at the same time, the last word is the latest."""
    file = StateFile(path, boot_id="boot")
    await asyncio.gather(*(file.save({"GPU-1": SavedCounter(float(number), 1.0)}) for number in range(20)))
    assert file.load()["GPU-1"].joules == 19.0
    assert [left.name for left in path.parent.iterdir()] == ["state.json"]


async def test_people_can_read_it(path):
    """It is JSON that says what it is."""
    await StateFile(path, boot_id="boot").save(COUNTERS)
    state = json.loads(path.read_text())
    assert (state["version"], state["boot_id"]) == (2, "boot")
    assert state["devices"]["GPU-1"] == {"joules": 123456.75, "at": 1000.0, "accounts": {"attributed": 12.5, "idle": 0.25}}


@pytest.mark.parametrize(
    ("joules", "at", "limit", "consumed"),
    [
        (1500.0, 110.0, 400.0, 500.0),
        (1500.0, 110.0, None, 500.0),
        (1000.0, 110.0, 400.0, 0.0),
        (3.0, 110.0, 400.0, 0.0),
        (1e9, 110.0, 400.0, 0.0),
        (1500.0, 90.0, None, 0.0),
    ],
    ids=["grown", "no limit known", "unmoved", "begun anew", "more than can be", "clock went back"],
)
def test_what_was_consumed_since(joules, at, limit, consumed):
    """A counter is believed where it has grown, and by no more than the device can draw."""
    assert consumed_since(SavedCounter(1000.0, 100.0), joules, at, power_limit_watts=limit) == consumed


def test_the_boot_id(tmp_path):
    """It is what the system says, and unknown where it says nothing."""
    path = tmp_path / "boot_id"
    assert read_boot_id(path) is None
    path.write_text("6f1c83a2-0000\n")
    assert read_boot_id(path) == "6f1c83a2-0000"
    path.write_text("\n")
    assert read_boot_id(path) is None
