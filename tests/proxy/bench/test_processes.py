"""A program under measurement is counted with everything it starts, and ends with all of it."""

import os
import sys
import time
from itertools import count

import pytest

from jevons.proxy.bench.processes import CpuTime, Program, pinned, tree
from jevons.proxy.errors import JevonsError

CORE = min(os.sched_getaffinity(0))
BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
SLEEP = "import time; time.sleep(60)"


def python(code, tmp_path, **options):
    return Program([sys.executable, "-c", code], core=CORE, log=tmp_path / "log", **options)


def until(condition):
    """Ask again until it holds."""
    deadline = time.monotonic() + 20
    for _ in count():
        if condition():
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("waits", [True, False])
def test_the_cpu_time_of_children_counts(tmp_path, waits):
    """What a child used counts while it runs and after it has ended."""
    child = f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {BURN + ('' if waits else SLEEP)!r}])"
    with python(f"{child}; {'child.wait(); ' if waits else ''}time.sleep(60)", tmp_path) as program:
        until(lambda: program.cpu_time().total > 0.2)
        if waits:
            until(lambda: len(tree(program._process.pid)) == 1)
            assert program.cpu_time().total > 0.19


def test_the_difference_of_two_times():
    """Both parts are subtracted."""
    assert CpuTime(3.0, 1.0) - CpuTime(1.0, 0.5) == CpuTime(2.0, 0.5)


def test_a_program_is_stopped_with_its_children(tmp_path):
    """Neither the program nor its child is left behind, though the child would not go by itself."""
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"
    with python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])", tmp_path) as program:
        until(lambda: program.last_words() == "up")
        pids = tree(program._process.pid)
        assert len(pids) == 2
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))  # noqa: PTH110 - a question, not a path


def test_memory_of_the_tree_is_counted(tmp_path):
    """An interpreter takes megabytes, shared pages divided among those who share them."""
    with python(SLEEP, tmp_path) as program:
        until(lambda: (program.proportional_bytes() or 0) > 1_000_000)


def test_it_stays_on_its_core(tmp_path):
    """Every thread has the core that it was given; one that leaves is noticed."""
    everywhere = os.sched_getaffinity(0)
    leave = f"import os; os.sched_setaffinity(0, {everywhere!r}); print('up', flush=True); {SLEEP}"
    with python(SLEEP, tmp_path) as program:
        assert program.stray_threads() == 0
    with python(leave, tmp_path) as program:
        until(lambda: program.last_words() == "up")
        assert program.stray_threads() == (1 if len(everywhere) > 1 else 0)
    assert os.sched_getaffinity(0) == everywhere


def test_pinning_ends():
    """Afterwards this process may run where it could before."""
    before = os.sched_getaffinity(0)
    with pinned(CORE):
        assert os.sched_getaffinity(0) == {CORE}
    assert os.sched_getaffinity(0) == before


def test_an_early_end_is_noticed(tmp_path):
    """What it printed last can be told."""
    with python("import sys; print('one\\ntwo'); sys.exit('because')", tmp_path) as program:
        until(lambda: program.has_ended)
        assert program.last_words(2) == "two\nbecause"


def test_a_program_has_its_environment(tmp_path):
    """What is given is added to our own."""
    with python("import os; print(os.environ['BENCH'], 'PATH' in os.environ)", tmp_path, environment={"BENCH": "x"}) as program:
        until(lambda: program.has_ended)
        assert program.last_words() == "x True"


def test_a_missing_program_is_named(tmp_path):
    """The error says what was to be started."""
    with (
        pytest.raises(JevonsError, match="no-such-program does not start: No such file"),
        Program(["no-such-program"], core=CORE, log=tmp_path / "log"),
    ):
        pass
