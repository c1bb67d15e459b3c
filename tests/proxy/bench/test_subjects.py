"""What is measured, and how it is started."""

import pytest
import yaml
from source_tree import ROOT

from jevons.proxy.bench import subjects as module
from jevons.proxy.bench.subjects import CHAIN_FILE, Place, direct, find_nginx, jevons_subjects
from jevons.proxy.config import Config
from jevons.proxy.config_file import load_config
from jevons.proxy.errors import JevonsError
from jevons.proxy.simulation.gpu import SimulatedGpu


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, upstream_port=1001, port=1002, extra_port=1003, token="sk-x")


@pytest.mark.parametrize("subject", jevons_subjects(), ids=lambda subject: subject.name)
def test_the_configurations_can_be_run(subject, place):
    """Each of ours gets a configuration that jevons takes, on its ports and in front of the mock."""
    launch = subject.launch(place)
    config = load_config(place.folder / "config.yaml", {})
    assert str(place.folder / "config.yaml") in launch.command
    assert (str(config.listen), str(config.admin)) == ("127.0.0.1:1002", "127.0.0.1:1003")
    assert {upstream.url for upstream in config.upstreams} == {"http://127.0.0.1:1001/v1"}
    assert subject.model in {"auto", config.upstreams[0].name}


def test_metered_ones_have_a_device_that_draws_power(place):
    """Metering is real: there is a simulated GPU, and it draws more than idle power."""
    metered = [subject for subject in jevons_subjects() if subject.is_metered]
    names = ["jevons", "jevons-chain", "jevons-workers", "jevons-no-tick", "jevons-long-tick"]
    assert [subject.name for subject in metered] == names
    for subject in metered:
        subject.launch(place)
        devices = load_config(place.folder / "config.yaml", {}).upstreams[0].devices
        assert devices == (f"simulated:{place.folder / 'gpu0'}",)
        with SimulatedGpu(place.folder / "gpu0") as gpu:
            assert gpu.true_watts() > gpu.idle_watts


def test_ticks(place):
    """All gather as jevons does by default, but for two that are there to show what the tick is worth."""
    default = Config.model_fields["gather_milliseconds"].default
    ticks = {}
    for subject in jevons_subjects():
        subject.launch(place)
        ticks[subject.name] = load_config(place.folder / "config.yaml", {}).gather_milliseconds
    assert (ticks.pop("jevons-no-tick"), ticks.pop("jevons-long-tick")) == (0, 40)
    assert set(ticks.values()) == {default}


def test_the_chain_is_the_one_that_ships():
    """The default chain that is measured has the policies of config.yaml."""
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text())["policies"]
    copied = (ROOT / "proxy" / "bench" / CHAIN_FILE).read_text()
    assert yaml.safe_load(copied) == shipped


def test_nginx_is_told_to_keep_connections(place, tmp_path, monkeypatch):
    """Its configuration is in front of the mock, keeps connections and buffers nothing; its version is known."""
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\necho 'nginx version: nginx/1.2.3' >&2\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    nginx = find_nginx()
    launch = nginx.launch(place)
    text = (tmp_path / "nginx.conf").read_text()
    assert nginx.version == "1.2.3"
    assert launch.command[0] == str(program)
    assert "server 127.0.0.1:1001; keepalive 1024;" in text
    assert "listen 127.0.0.1:1002 " in text
    assert "proxy_buffering off;" in text


def test_a_missing_nginx_is_said(tmp_path, monkeypatch):
    """Where it is not installed the reason says how to change that."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "NGINX_FOLDERS", ())
    with pytest.raises(JevonsError, match="nginx is not installed"):
        find_nginx()


def test_no_proxy_is_a_subject_too():
    """What the others add to is measured like them, with nothing started."""
    assert direct().launch is None
