"""What is measured: jevons in three configurations, and nginx as the measure of what a proxy in C costs.

Each is one command in front of the mock, as its own documentation would have it run, with logging of single requests off and
connections kept alive on both sides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ..errors import JevonsError
from ..metering.simulated import DEVICE_PREFIX
from ..simulation.gpu import SimulatedGpu

MODEL: Final = "mock"
LOAD_WATTS: Final = 400.0
"""What the simulated GPU draws above idle, so that there is energy to attribute: a round assumption."""
DIRECT: Final = "direct"
NGINX_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject runs: ports that were free a moment ago, and a folder of its own."""

    folder: Path
    upstream_port: int
    port: int
    extra_port: int
    """For an admin or metrics listener."""
    token: str
    """What the load authenticates with."""

    @property
    def upstream(self) -> str:
        """The mock's address."""
        return f"http://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a subject is started."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """One proxy under measurement, or none at all."""

    name: str
    title: str
    version: str
    launch: Callable[[Place], Launch] | None
    """None where the load goes straight to the mock."""
    model: str = MODEL
    is_metered: bool = False
    """Whether its replies must carry an energy."""
    workloads: tuple[str, ...] = ()
    """The only ones that it is measured under; none are all."""


CONFIG: Final = """\
listen: 127.0.0.1:{port}
admin: 127.0.0.1:{extra_port}
workers: {workers}
gather_milliseconds: {tick}
upstreams:
  - {{name: chat, url: "{upstream}/v1", model: mock, dialect: vllm{devices}}}
  - {{name: thinker, url: "{upstream}/v1", model: mock-thinker, reasoning: always, dialect: vllm{devices}}}
"""
CALLER: Final = "  - {type: caller}\n"
RULES: Final = """\
  - type: rules
    rules:
      - {name: proofs, when: {keywords: [prove, proof, derive, theorem, step by step]}, to: reasoning}
      - {name: errors, when: {has: [code], keywords: [debug, deadlock, traceback, segfault]}, to: reasoning}
"""
TICK_MILLISECONDS: Final = 10
"""The default."""
LONG_TICK_MILLISECONDS: Final = 40
"""Some three tokens of a fast stream."""
_STREAMS: Final = ("paced-256-10", "paced-256-30")
CHAIN_FILE: Final = "shipped_policies.yaml"
"""The policies of the shipped config.yaml, which is not in a wheel; `make docs` copies them."""


def jevons_subjects() -> list[Subject]:
    """Pinned and unmetered; metered with a rules policy, in one process and in two workers; with the full default chain.

    And, under many paced streams only, with no tick that gathers them and with a long one.
    """
    ours = version("jevons")
    no_tick, long_tick = (_jevons(RULES, is_metered=True, tick=tick) for tick in (0, LONG_TICK_MILLISECONDS))
    workers = _jevons(RULES, is_metered=True, workers=2)
    pinned, rules = _jevons("", is_metered=False), _jevons(RULES, is_metered=True)
    chain = _jevons(resources.files("jevons.proxy.bench").joinpath(CHAIN_FILE).read_text(), is_metered=True)
    return [
        Subject("jevons-pinned", "jevons, model pinned, no meter", ours, pinned, model="chat"),
        Subject("jevons", "jevons, metering, rules", ours, rules, model="auto", is_metered=True),
        Subject("jevons-chain", "jevons, metering, default chain", ours, chain, model="auto", is_metered=True),
        Subject("jevons-workers", "jevons, metering, rules, two workers", ours, workers, model="auto", is_metered=True),
        Subject("jevons-no-tick", "jevons, metering, rules, no tick", ours, no_tick, "auto", is_metered=True, workloads=_STREAMS),
        Subject(
            "jevons-long-tick",
            f"jevons, metering, rules, a tick of {LONG_TICK_MILLISECONDS} ms",
            ours,
            long_tick,
            "auto",
            is_metered=True,
            workloads=_STREAMS,
        ),
    ]


def _jevons(policies: str, *, is_metered: bool, workers: int = 1, tick: int = TICK_MILLISECONDS) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        devices = ""
        if is_metered:
            gpu = place.folder / "gpu0"
            with SimulatedGpu.create(gpu) as simulated:
                simulated.add_watts(LOAD_WATTS)
            devices = f', devices: ["{DEVICE_PREFIX}{gpu}"]'
        config = place.folder / "config.yaml"
        text = CONFIG.format(
            port=place.port, extra_port=place.extra_port, workers=workers, tick=tick, upstream=place.upstream, devices=devices
        )
        config.write_text(text + (f"policies:\n{policies}" if policies else ""))
        program = "from jevons.proxy.cli import main; main()"
        return Launch([sys.executable, "-c", program, "serve", "--config", str(config), "--log-level", "warning"])

    return launch


NGINX_CONFIG: Final = """\
{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 32m;
  client_body_buffer_size 1m;
  keepalive_requests 1000000000;
  upstream mock {{ server 127.0.0.1:{upstream_port}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


def find_nginx() -> Subject:
    """Raises JevonsError where it is not installed."""
    program = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *NGINX_FOLDERS]))
    if program is None:
        raise JevonsError("nginx is not installed (Debian: apt-get install nginx-light)")
    told = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr  # noqa: S603 - the operator's own
    return Subject("nginx", "nginx", told.strip().rpartition("/")[2] or "unknown", _nginx(program))


def _nginx(program: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        config = place.folder / "nginx.conf"
        text = NGINX_CONFIG.format(
            folder=place.folder,
            port=place.port,
            upstream_port=place.upstream_port,
            user="user root;\n" if os.geteuid() == 0 else "",  # else its worker could not enter our folder
        )
        config.write_text(text)
        return Launch([program, "-p", str(place.folder), "-c", str(config), "-e", str(place.folder / "error.log")])

    return launch


def direct() -> Subject:
    """No proxy: what the others add their latencies to."""
    return Subject(DIRECT, "no proxy", "", None)
