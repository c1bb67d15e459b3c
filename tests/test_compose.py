"""The compose file: what it mounts is there, and what it configures is taken by those who read it."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml
from source_tree import ROOT

from jevons.proxy.config_file import parse_config

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
CONFIGS = {name: each["content"] for name, each in COMPOSE["configs"].items()}


def mounts(service):
    """Paths of the repository, and where they are seen in the container."""
    pairs = [text.split(":") for text in COMPOSE["services"][service]["volumes"]]
    return {inside: ROOT / outside for outside, inside, *_ in pairs if outside.startswith("./")}


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_what_is_mounted_is_there(service):
    """Docker would make an empty folder of a name that is not."""
    assert mounts(service)
    for inside, outside in mounts(service).items():
        assert outside.exists(), inside


def test_jevons_takes_its_configuration():
    """And listens where the ports are published and where Prometheus scrapes."""
    config = parse_config(CONFIGS["jevons"])
    scraped = yaml.safe_load(CONFIGS["prometheus"])["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == [f"jevons:{config.admin.port}"]
    assert COMPOSE["services"]["jevons"]["ports"] == [f"127.0.0.1:{config.listen.port}:{config.listen.port}"]


def test_nothing_is_published_beyond_this_machine():
    """There is no key in it: each published port names the loopback address."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no `promtool` on this machine")
def test_prometheus_takes_its_configuration(tmp_path):
    """`promtool check config`, with the rules where they are mounted."""
    text = CONFIGS["prometheus"]
    for inside, outside in mounts("prometheus").items():
        text = text.replace(inside, str(outside))
    (tmp_path / "prometheus.yaml").write_text(text)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SUCCESS: 2 rule files found" in done.stdout


def test_grafana_finds_dashboards_and_source():
    """The provider's folder is the mounted one, the home dashboard is in it, and the source has the address it is told."""
    seen = mounts("grafana")
    provider = yaml.safe_load(seen["/etc/grafana/provisioning/dashboards/jevons.yaml"].read_text())["providers"][0]
    folder = seen[provider["options"]["path"]]
    environment = COMPOSE["services"]["grafana"]["environment"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].removeprefix(provider["options"]["path"] + "/")
    assert json.loads((folder / home).read_text())["uid"] == "jevons-overview"
    source = yaml.safe_load(seen["/etc/grafana/provisioning/datasources/jevons.yaml"].read_text())["datasources"][0]
    assert source["url"] == "${PROMETHEUS_URL}"
    assert environment["PROMETHEUS_URL"].startswith("http://prometheus:")
