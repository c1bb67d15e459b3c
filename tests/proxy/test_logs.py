"""Log lines: JSON, one per event, on standard error whatever becomes of that, and those of libraries among them."""

import json
import logging
import subprocess
import sys

import pytest
import structlog

from jevons.proxy.logs import FromLibraries, configure_logs


@pytest.fixture
def configured():
    """The logging of a process that logs from `info` on."""
    configure_logs("info")
    yield
    structlog.reset_defaults()


def lines(capfd):
    """What has been logged since last asked."""
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_one_line_of_json_per_event(configured, capfd):
    """An event has its level, its time and its fields, whatever they are; below the level nothing is written."""
    log = structlog.get_logger("jevons")
    log.debug("not this")
    log.info("upstream changed", upstream="chat", reason=None, text="two\nlines", path={"a": 1.5}, strange=object)
    [line] = lines(capfd)
    assert line.pop("timestamp").endswith("Z")
    strange = line.pop("strange")
    assert "object" in strange
    assert line == {
        "event": "upstream changed",
        "level": "info",
        "upstream": "chat",
        "reason": None,
        "text": "two\nlines",
        "path": {"a": 1.5},
    }


def test_an_exception_stays_on_its_line(configured, capfd):
    """A traceback is a field, not lines of its own."""
    log = structlog.get_logger("jevons")
    try:
        int("told so")
    except ValueError:
        log.exception("bug")
    [line] = lines(capfd)
    assert line["exception"].splitlines()[-1].startswith("ValueError: invalid literal")
    assert line["level"] == "error"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_levels(capfd, level):
    """From the level that was asked for on, everything is written."""
    configure_logs(level)
    log = structlog.get_logger("jevons")
    for name in ("debug", "info", "warning", "error"):
        log.log(logging.getLevelNamesMapping()[name.upper()], name)
    structlog.reset_defaults()
    written = [line["event"] for line in lines(capfd)]
    assert written == ["debug", "info", "warning", "error"][-len(written) :]
    assert written[0] == level


@pytest.mark.parametrize(("number", "name"), [(30, "warning"), (40, "error"), (45, "error"), (60, "critical")])
def test_libraries_write_such_lines_too(configured, capfd, number, name):
    """What comes through `logging` gets its logger's name and one of the usual levels."""
    record = logging.LogRecord("aiohttp.server", number, __file__, 1, "failed: %s", ("why",), None)
    FromLibraries().handle(record)
    [line] = lines(capfd)
    assert (line["event"], line["level"], line["logger"]) == ("failed: why", name, "aiohttp.server")
    assert "exc_info" not in line


LIBRARY = """
import asyncio, logging, sys
from jevons.proxy.logs import configure_logs
configure_logs("info")
logging.getLogger("aiohttp").info("not this")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("aiohttp.server").exception("Error handling request")
"""


def test_a_library_in_a_process_of_ours():
    """A library's traceback is one line as well, and what it says below `warning` is nobody's business."""
    done = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=True)
    [line] = done.stderr.splitlines()
    assert json.loads(line)["exception"].endswith("ZeroDivisionError: division by zero")


LOSE_LINES = """
import structlog
from jevons.proxy.logs import configure_logs
configure_logs("info")
for number in range(100):
    structlog.get_logger("jevons").info("line", number=number)
print("went on")
"""


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"], ids=["full", "closed"])
def test_lines_that_cannot_be_written_are_lost(stderr):
    """On a full disk, or without a standard error, whoever logs goes on, and the exit code is not spoilt."""
    command = f'exec "$0" -c "$1" {stderr}'
    done = subprocess.run(["sh", "-c", command, sys.executable, LOSE_LINES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "went on\n")
