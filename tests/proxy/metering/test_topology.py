"""Finding a server's boards from its process: on trees as /proc shows them, and once with real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from itertools import pairwise

import pytest
from fake_trees import public_folder, without_privilege, write_tree
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.metering.topology import (
    PROC,
    Process,
    find_devices,
    find_sockets,
    listening_inodes,
    local_addresses,
    read_environment,
    read_processes,
    relatives,
    sees_host_pids,
    socket_owners,
)
from jevons.proxy.metering.visible import Board

URL = "http://127.0.0.1:8000/v1"
A, B = Board("GPU-a", "NVIDIA A100"), Board("GPU-b", "NVIDIA A100")
LOCAL = frozenset({"127.0.0.1"})


def tcp_line(address, state, inode):
    return (
        f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 100 0 0 10 0\n"
    )


class Host:
    """A tree under /proc: sockets, processes, and what the driver says of them."""

    def __init__(self, root):
        self.root = root
        write_tree(root, {"self/ns/pid": "-> pid:[4026531836]"})
        self.sockets = ""
        self.on_boards = {A.uuid: frozenset(), B.uuid: frozenset()}

    def listen(self, inode=77, address="0100007F:1F40", state="0A"):
        self.sockets += tcp_line(address, state, inode)
        write_tree(self.root, {"net/tcp": "  sl  local_address rem_address   st\n" + self.sockets})

    def process(self, pid, *, parent=1, group=None, session=100, name="python", inode=None, environment=None):
        stat = f"{pid} ({name}) S {parent} {pid if group is None else group} {session} 0 -1 4194304 0 0\n"
        environ = "\0".join(f"{key}={value}" for key, value in (environment or {}).items())
        links = (
            {f"{pid}/fd/0": "-> /dev/null", f"{pid}/fd/3": f"-> socket:[{inode}]"} if inode else {f"{pid}/fd/0": "-> /dev/null"}
        )
        write_tree(self.root, {f"{pid}/stat": stat, f"{pid}/environ": environ, **links})

    def find(self, url=URL, **options):
        return find_devices(url, self.on_boards, [A, B], proc=self.root, **options)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_server_that_computes_itself(host):
    """The process that listens is on a board."""
    host.listen()
    host.process(500, inode=77)
    host.on_boards[A.uuid] = frozenset({500, 9000})
    found = host.find()
    assert found.devices == {A.uuid}
    assert found.reason == "process 500 (python) behind port 8000 or one of its 0 relatives is on GPU-a"


def test_a_server_whose_children_compute(host):
    """As vLLM and SGLang: one worker per board, below the process that listens."""
    host.listen()
    host.process(500, inode=77)
    host.process(501, parent=500)
    host.process(502, parent=501, session=502)
    host.on_boards = {A.uuid: frozenset({501}), B.uuid: frozenset({502})}
    assert host.find().devices == {A.uuid, B.uuid}


def test_an_engine_beside_its_api_server(host):
    """Both below a launcher of the same group: the ancestor leads there, and not to another job of the same shell."""
    host.process(100, group=100, name="bash")
    host.process(200, parent=100, group=200, name="launch")
    host.process(201, parent=200, group=200, inode=77)
    host.process(202, parent=200, group=200, name="engine")
    host.process(300, parent=100, group=300, name="other")
    host.listen()
    host.on_boards = {A.uuid: frozenset({202}), B.uuid: frozenset({300})}
    assert host.find().devices == {A.uuid}


def test_another_job_of_the_same_shell_is_no_relative(host):
    """It shares the session, not the group: its board is not the server's."""
    host.process(100, group=100, name="bash")
    host.process(201, parent=100, group=201, inode=77)
    host.process(300, parent=100, group=300, name="other")
    host.listen()
    host.on_boards[B.uuid] = frozenset({300})
    found = host.find()
    assert found.devices is None
    assert found.reason.endswith("is on no board that lists it (yet), and sets no CUDA_VISIBLE_DEVICES")


def test_what_is_nearer_wins(host):
    """Where a descendant is on a board, a relative further off is not asked for."""
    host.process(200, group=200)
    host.process(201, parent=200, group=200, inode=77)
    host.process(202, parent=201, group=200)
    host.process(203, parent=200, group=200)
    host.listen()
    host.on_boards = {A.uuid: frozenset({202}), B.uuid: frozenset({203})}
    assert host.find().devices == {A.uuid}


def test_workers_that_share_a_socket_are_all_owners(host):
    """A server that forks after it began to listen."""
    host.listen()
    host.process(500, inode=77)
    host.process(501, parent=500, inode=77)
    host.process(600, inode=77)
    host.on_boards = {A.uuid: frozenset({501}), B.uuid: frozenset({600})}
    assert host.find().devices == {A.uuid, B.uuid}


@pytest.mark.parametrize(
    ("variable", "devices"), [("1", {B.uuid}), ("GPU-a", {A.uuid}), ("", set()), ("0,1", {A.uuid, B.uuid}), ("-1", set())]
)
def test_before_it_computes_its_environment_may_say(host, variable, devices):
    """A model that is still loading is on no board yet; what its server may use is all it will use."""
    host.listen()
    host.process(500, inode=77, environment={"PATH": "/bin", "CUDA_VISIBLE_DEVICES": variable})
    found = host.find()
    assert found.devices == devices
    assert f"has CUDA_VISIBLE_DEVICES={variable}" in found.reason


def test_an_ambiguous_environment_is_not_guessed(host):
    """An index among boards that differ: the reason is that of the variable's own rules."""
    host.listen()
    host.process(500, inode=77, environment={"CUDA_VISIBLE_DEVICES": "1"})
    found = find_devices(URL, host.on_boards, [A, Board("GPU-t", "NVIDIA T4")], proc=host.root)
    assert found.devices is None
    assert "counts boards by their speed" in found.reason
    host.process(501, inode=88, environment={"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
    host.listen(inode=88, address="0100007F:1F41")
    found = find_devices("http://localhost:8001", host.on_boards, [A, Board("GPU-t", "NVIDIA T4")], proc=host.root)
    assert found.devices == {"GPU-t"}


def test_in_a_container_pids_are_not_compared(host):
    """The same number is another process there: only the environment can say."""
    write_tree(host.root, {"self/ns/pid": "-> pid:[4026532999]"})
    host.listen()
    host.process(500, inode=77)
    host.on_boards[A.uuid] = frozenset({500})
    found = host.find()
    assert found.devices is None
    assert "jevons is in a container and sees other PIDs" in found.reason
    host.process(500, environment={"CUDA_VISIBLE_DEVICES": "1"})
    assert host.find().devices == {B.uuid}
    assert host.find(has_host_pids=True).devices == {A.uuid}


def test_a_server_behind_a_forwarder_is_elsewhere(host):
    """Docker's own proxy listens for the container; its relatives have nothing to do with the model."""
    host.listen()
    host.process(500, name="docker-proxy", inode=77)
    found = host.find()
    assert found.devices is None
    assert found.reason == "process 500 (docker-proxy) behind port 8000 only forwards to a server elsewhere"


def test_another_users_process_is_not_looked_into():
    """Its descriptors may not be listed: the reason says so, and nothing is guessed."""
    with public_folder() as folder:
        host = Host(folder)
        host.listen()
        host.process(500, inode=77)
        (folder / "500/fd").chmod(0)
        with without_privilege():
            found = host.find()
    assert found.devices is None
    assert "the process behind port 8000 is another user's" in found.reason


def test_an_environment_that_may_not_be_read_is_a_reason():
    """Where the driver says nothing either."""
    with public_folder() as folder:
        host = Host(folder)
        host.listen()
        host.process(500, inode=77)
        (folder / "500/environ").chmod(0)
        with without_privilege():
            found = host.find()
    assert found.devices is None
    assert found.reason.endswith("is on no board that lists it, and its environment may not be read")


@pytest.mark.parametrize("url", ["http://192.0.2.1:8000/v1", "http://[2001:db8::1]:8000", f"http://{'n' * 64}:8000"])
def test_another_host_is_none_of_ours(host, url):
    """An address that is not this host's own, or no address at all."""
    host.listen()
    host.process(500, inode=77)
    found = host.find(url)
    assert found.devices is None
    assert found.reason.endswith(" is another host")


@pytest.mark.parametrize("entry", [{"state": "01"}, {"address": "0100007F:1F41"}, {"address": "0201007F:1F40"}])
def test_nothing_that_listens_there(host, entry):
    """A connection, another port, another address of this host: none of them is the server."""
    host.listen(**entry)
    host.process(500, inode=77)
    assert host.find().reason.startswith("nothing listens at port 8000")


def test_a_host_without_any_of_it(tmp_path):
    """No /proc to speak of is a reason, not an error."""
    assert find_devices(URL, {}, [], proc=tmp_path / "nowhere").devices is None
    assert read_processes(tmp_path / "nowhere") == {}
    assert sees_host_pids(tmp_path) is False


@pytest.mark.parametrize(
    ("table", "address"),
    [
        ("tcp", "0100007F:1F40"),
        ("tcp", "00000000:1F40"),
        ("tcp6", "00000000000000000000000000000000:1F40"),
        ("tcp6", "0000000000000000FFFF00000100007F:1F40"),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the kernel writes addresses in the machine's own order")
def test_a_listener_is_found_in_either_table(tmp_path, table, address):
    """On the address itself or on every one, by IPv4 or by IPv6."""
    write_tree(tmp_path, {f"net/{table}": "head\n" + tcp_line(address, "0A", 42) + tcp_line(address, "06", 43) + "garbage\n"})
    assert listening_inodes(tmp_path, 8000, LOCAL) == {42}


@pytest.mark.parametrize("text", ["", "head\n", "head\n0: zz:yy 0 0A 0 0 0 0 0 5\n", "head\n0: 0100007F:1F40 0 0A\n"])
def test_a_table_that_makes_no_sense_holds_nothing(tmp_path, text):
    """Empty, or of another form than it has had for decades."""
    write_tree(tmp_path, {"net/tcp": text})
    assert listening_inodes(tmp_path, 8000, LOCAL) == frozenset()


def test_names_with_parentheses_are_read(host):
    """A process may call itself anything."""
    host.process(7, name="a) S 1 (b", parent=3, group=4, session=5)
    write_tree(host.root, {"8/stat": "8 (gone"})
    assert read_processes(host.root) == {7: Process("a) S 1 (b", 3, 4, 5)}


@settings(deadline=None)
@given(st.dictionaries(st.integers(1, 12), st.tuples(st.integers(0, 12), st.integers(1, 2), st.integers(1, 2)), min_size=1))
def test_families_grow_and_end(tree):
    """Whatever the tree, loops included: each family holds the one before, and there is a last one."""
    processes = {pid: Process("p", parent, group, session) for pid, (parent, group, session) in tree.items()}
    owners = frozenset({min(processes)})
    families = []
    for family in relatives(processes, owners):
        families.append(family)
        if len(families) > len(processes) + 1:
            break
    assert owners <= families[0]
    assert all(before <= after for before, after in pairwise(families))
    assert len(families) <= len(processes) + 1


def test_names_of_this_host():
    """`localhost` is this host by its loopback addresses; every address is so too."""
    assert "127.0.0.1" in local_addresses("localhost")
    assert local_addresses("0.0.0.0") >= LOCAL
    assert local_addresses("192.0.2.1") == frozenset()


SERVER = """
import os, socket, subprocess, sys
server = socket.create_server(("127.0.0.1", 0))
worker = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(server.getsockname()[1], worker.pid, flush=True)
sys.stdin.read()
worker.stdin.close()
worker.wait()
"""


def test_a_real_server_and_its_worker_are_found():
    """A process that listens, and a child of it that computes: found by the kernel's own tables, without any privilege."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "1"}
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as server:
        try:
            port, worker = map(int, server.stdout.readline().split())
            url = f"http://127.0.0.1:{port}/v1"
            on_boards = {A.uuid: frozenset({worker}), B.uuid: frozenset({os.getpid()})}
            assert find_devices(url, on_boards, [A, B], has_host_pids=True).devices == {A.uuid}
            assert find_devices(url, {}, [A, B], has_host_pids=True).devices == {B.uuid}
            assert find_devices(f"http://127.0.0.1:{port}", on_boards, [A, B], has_host_pids=False).devices == {B.uuid}
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.stdin.close()
    assert find_devices(url, on_boards, [A, B]).reason.startswith("nothing listens")


def test_a_real_process_is_read():
    """This one: its parent, and that it holds the socket it has just made."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        inodes = listening_inodes(PROC, server.getsockname()[1], LOCAL)
        assert os.getpid() in socket_owners(PROC, inodes)
        assert read_processes(PROC)[os.getpid()].parent == os.getppid()
        assert read_environment(PROC, os.getpid()) is not None


def test_what_an_address_leads_to(host):
    """A listening socket, whose number is another one after a restart; none where nothing listens, or on another host."""
    assert find_sockets(URL, proc=host.root) == frozenset()
    host.listen(inode=77)
    assert find_sockets(URL, proc=host.root) == {77}
    assert find_sockets("http://192.0.2.1:8000/v1", proc=host.root) == frozenset()
