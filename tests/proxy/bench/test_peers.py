"""Other gateways: found where they were installed, installed where they are asked for, left out with a reason."""

import subprocess
import sys

import pytest
import yaml

from jevons.proxy.bench.peers import PEERS, Peer, find_peer, install_peer
from jevons.proxy.bench.subjects import Launch, Place
from jevons.proxy.errors import JevonsError

PEER = Peer("gateway", "A gateway", "gateway-that-does-not-exist", "gateway", "gateway", lambda program, _: Launch([program]))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, upstream_port=1001, port=1002, extra_port=1003, token="sk-x")


def test_an_installed_peer_is_found(tmp_path, place):
    """The one in its own environment is taken, with whatever version it has there."""
    environment = tmp_path / "gateway" / "bin"
    environment.mkdir(parents=True)
    (environment / "gateway").write_text("")
    (environment / "python").write_text("#!/bin/sh\necho 4.5.6\n")
    (environment / "python").chmod(0o755)
    subject = find_peer(PEER, tmp_path)
    assert (subject.name, subject.version) == ("gateway", "4.5.6")
    assert subject.launch(place).command == [str(environment / "gateway")]


def test_a_peer_on_the_path_is_found(tmp_path, monkeypatch):
    """One that is installed elsewhere is taken where there is none of our own."""
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_peer(PEER, tmp_path / "none").version == "unknown"


def test_a_missing_peer_is_said(tmp_path, monkeypatch):
    """The reason says what would install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JevonsError, match="gateway is not installed"):
        find_peer(PEER, tmp_path)


def test_a_failing_installation_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    """Where pip fails, its last line is the reason, and the next try starts anew."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(JevonsError, match=r"gateway could not be installed: .*gateway-that-does-not-exist"):
        install_peer(PEER, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_installed_is_left_alone(tmp_path):
    """A second time nothing is started."""
    program = tmp_path / "gateway" / "bin" / "gateway"
    program.parent.mkdir(parents=True)
    program.write_text("here")
    install_peer(PEER, tmp_path)
    assert program.read_text() == "here"


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_put_in_front_of_the_mock(peer, place):
    """Its command listens on its port, and it or its configuration names the mock."""
    launch = peer.launch("program", place)
    files = "".join(path.read_text() for path in place.folder.iterdir())
    assert launch.command[0] == "program"
    assert "1002" in launch.command
    assert "http://127.0.0.1:1001" in " ".join(launch.command) + files


def test_the_gateway_that_wants_a_key_gets_the_token(place):
    """LiteLLM authenticates the load, as it would its users, and its configuration is YAML that it can read."""
    litellm = next(peer for peer in PEERS if peer.name == "litellm")
    launch = litellm.launch("litellm", place)
    config = yaml.safe_load((place.folder / "litellm.yaml").read_text())
    assert launch.environment["LITELLM_MASTER_KEY"] == place.token
    assert config["model_list"][0]["litellm_params"]["api_base"] == "http://127.0.0.1:1001/v1"


def test_requirements_can_be_read():
    """What is asked for is written as pip takes it."""
    code = "import sys; from pip._vendor.packaging.requirements import Requirement as R; [R(one) for one in sys.argv[1:]]"
    requirements = [peer.requirement for peer in PEERS]
    subprocess.run([sys.executable, "-c", code, *requirements], check=True)
