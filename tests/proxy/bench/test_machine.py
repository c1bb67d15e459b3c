"""What the bench knows of the machine it runs on."""

import os

import pytest

from jevons.proxy.bench.machine import (
    Cores,
    busy_seconds,
    describe_machine,
    load_average,
    parse_cores,
    pick_cores,
    thread_siblings,
)
from jevons.proxy.errors import JevonsError


def test_proxy_and_load_get_a_core_each():
    """The first two cores that this process may use."""
    assert pick_cores({2, 5, 7}, {}) == Cores(2, 5)


def test_hardware_threads_of_one_core_are_kept_apart():
    """Another physical core is preferred over the other half of the same."""
    siblings = {0: {0, 1}, 1: {0, 1}, 2: {2, 3}, 3: {2, 3}}
    assert pick_cores({0, 1, 2, 3}, siblings) == Cores(0, 2)
    assert pick_cores({0, 1}, siblings) == Cores(0, 1, are_siblings=True)


def test_one_core_is_not_enough():
    """On one core whoever is measured waits for whoever measures: the bench refuses."""
    with pytest.raises(JevonsError, match="needs two cores"):
        pick_cores({3}, {})


@pytest.mark.parametrize(("text", "cores"), [("0\n", {0}), ("0-2,5\n", {0, 1, 2, 5}), ("", set())])
def test_lists_of_cores_are_read(text, cores):
    """The kernel writes ranges and single cores."""
    assert parse_cores(text) == cores


def test_siblings_are_read_from_the_system(tmp_path):
    """Every core's list is found under its own number."""
    for core, text in ((0, "0,2"), (2, "0,2"), (11, "11")):
        folder = tmp_path / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text)
    (tmp_path / "cpufreq").mkdir()
    assert thread_siblings(tmp_path) == {0: {0, 2}, 2: {0, 2}, 11: {11}}


def test_busy_time_leaves_out_idling(tmp_path):
    """User, nice, system, interrupts and stolen time count, idling and waiting for disks do not."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\ncpu1 100 10 20 5000 700 3 4 5 0 0\nintr 1\n")
    assert busy_seconds(1, stat) == pytest.approx(142 / os.sysconf("SC_CLK_TCK"))
    assert busy_seconds(2, stat) is None


def test_this_machine_can_be_described():
    """Nothing is empty, and the load is a number."""
    machine = describe_machine()
    assert all([machine.cpu, machine.cores, machine.kernel, machine.system, machine.python])
    assert load_average() >= 0
