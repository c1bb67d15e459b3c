"""`jevons top` in a real terminal."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from jevons_process import COMMAND, PATIENCE_SECONDS
from proxy_client import CHAT, free_port

from jevons.proxy.errors import JevonsError
from jevons.proxy.reporting.top import look_once, print_once

pytest_plugins = ["proxy_fixture"]
ENTER_SCREEN, LEAVE_SCREEN = "\x1b[?1049h", "\x1b[?1049l"


class Terminal:
    """A pseudo terminal of 110 columns and 30 lines with `jevons top` in it."""

    def __init__(self, *arguments):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
        self.before = termios.tcgetattr(theirs)
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*COMMAND, "top", *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        self._theirs = theirs
        self.text = ""

    def wait_for(self, pattern):
        """Read until it shows."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.ours], [], [], 0.1)[0]:
                self.text += os.read(self.ours, 65_536).decode(errors="replace")

    def close(self):
        """Its exit code; all that it still said is read, and the terminal is as it was."""
        code = self.process.wait(PATIENCE_SECONDS)
        while select.select([self.ours], [], [], 0.1)[0]:
            self.text += os.read(self.ours, 65_536).decode(errors="replace")
        after = termios.tcgetattr(self._theirs)
        os.close(self.ours)
        os.close(self._theirs)
        assert after[3] == self.before[3], "it echoes and waits for lines again"
        return code


@pytest.fixture
async def proxy(start_upstream, start_proxy):
    """One that has answered a question."""
    proxy = await start_proxy(await start_upstream())
    await asyncio.sleep(0.5)
    await proxy.post(CHAT, {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
    return proxy


@pytest.mark.parametrize("how", ["q", "ctrl-c", "sigterm"])
async def test_it_shows_a_running_proxy_and_quits_cleanly(proxy, how):
    """It fills the screen with power, meters and requests, and leaves the terminal as it found it."""
    terminal = Terminal("--admin", proxy.admin)
    try:
        await asyncio.to_thread(terminal.wait_for, r"(?s)attributed.*idle.*simulated.*ok")
        if how == "q":
            os.write(terminal.ours, b"q")
        elif how == "ctrl-c":
            os.killpg(terminal.process.pid, signal.SIGINT)
        else:
            terminal.process.terminate()
        code = await asyncio.to_thread(terminal.close)
    finally:
        terminal.process.kill()
    assert code == 0
    assert terminal.text.count(ENTER_SCREEN) == terminal.text.count(LEAVE_SCREEN) == 1
    assert "Traceback" not in terminal.text


async def test_into_a_pipe_it_looks_once(proxy, capsys):
    """Without a terminal one picture, or JSON, and the end."""
    done = await asyncio.create_subprocess_exec(*COMMAND, "top", "--json", "--admin", proxy.admin, stdout=subprocess.PIPE)
    out, _ = await done.communicate()
    assert json.loads(out)["upstreams"].keys() == {"chat"}
    print_once(await look_once(proxy.admin, None))
    assert "in flight" in capsys.readouterr().out


async def test_nobody_is_there():
    """One look at nothing is an error that says where nobody was; in the terminal it goes on asking."""
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(JevonsError, match="no answer from"):
        await look_once(address, None)
    terminal = Terminal("--admin", address)
    try:
        await asyncio.to_thread(terminal.wait_for, "no answer from")
        os.write(terminal.ours, b"q")
        assert await asyncio.to_thread(terminal.close) == 0
    finally:
        terminal.process.kill()
