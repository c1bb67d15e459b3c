"""What the owner and a worker say to each other. Configurations and records go as Python objects, between processes of ours."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ..exchange import Doubts
from ..holdout import PairSums
from ..metering.meter import Device
from ..metering.statements import Due, Model, Settled, Statement
from ..observed import Intensity, LineState, ServerState
from ..units import Joules, Seconds, Watts


class _Message(msgspec.Struct, array_like=True, tag=True):
    """One message; its class is its tag."""


class EngineTold(msgspec.Struct, frozen=True, array_like=True):
    """One model server as the owner knows it."""

    name: str
    slot: int
    """Its place in the table of counts."""
    devices: tuple[str, ...]
    doubt: Doubts
    model: Model


class DeviceTold(msgspec.Struct, frozen=True, array_like=True):
    """One device, and how well its energy is placed in time."""

    device: Device
    placing_seconds: Seconds


class Engines(_Message):
    """What there is; said again when it changes."""

    engines: tuple[EngineTold, ...]
    devices: tuple[DeviceTold, ...]


class Setting(_Message):
    """A configuration that has been checked, its keys, and the places of its upstreams in the table of counts; pickled."""

    config: bytes
    keys: bytes
    engines: Engines


class Welcome(_Message):
    """The first word to a worker."""

    number: int
    workers: int
    host: str
    port: int
    log_level: str
    wants_records: bool
    setting: Setting


class Surroundings(_Message):
    """What the owner has found out by asking others."""

    problems: dict[str, str | None]
    dialects: dict[str, str]
    watts: dict[str, Watts | None]
    intensity: Intensity | None


class Call(_Message):
    """State the work of these bins."""

    dues: tuple[Due, ...]


class Moved(_Message):
    """What was stated too late: engine, bin, and the bin that it counts for."""

    moves: tuple[tuple[str, int, int], ...]


class Prices(_Message):
    """What bins have cost."""

    settled: tuple[Settled, ...]


class Others(_Message):
    """What has been used of budgets elsewhere, by holder: the window's number, and joules."""

    used: dict[str, tuple[int, Joules]]


class Up(_Message):
    """A server answers cheap questions."""

    server: str


class Drain(_Message):
    """Stop accepting, finish what is in flight, end."""


class Ready(_Message):
    """A worker accepts connections."""

    url: str


class Failed(_Message):
    """A worker cannot begin."""

    reason: str


class Edges(_Message):
    """When engines began, and ceased, to have something of a worker's in flight."""

    edges: tuple[tuple[str, Seconds, bool], ...]


class Told(_Message):
    """A worker's answer to a call."""

    statement: Statement


class Passed(_Message):
    """What has happened at a worker since it last said so."""

    in_flight: int
    """Clients that wait, now."""
    changes: tuple[tuple[int, tuple[str, ...], float, tuple[int, ...]], ...] = ()
    """Of counters and histograms, as `PrometheusExporter.take_changes` gives them."""
    latest: bytes = b"[]"
    """Requests for the live page, JSON."""
    records: bytes = b""
    """Finished requests, pickled; empty where nobody wants them."""
    used: dict[str, tuple[int, Joules, Joules]] = {}
    """Of budgets, by holder: the window's number, joules spent, joules reserved."""
    servers: tuple[ServerState, ...] = ()
    lines: tuple[LineState, ...] = ()


class Sampled(_Message):
    """What a worker's holdout has found: requests, joules, the latest pairs as (tier, own, other), and the sums over all."""

    requests: int
    joules: Joules
    pairs: tuple[tuple[str, Joules, Joules], ...]
    sums: PairSums = PairSums()


class Remembered(_Message):
    """Something that the next request may ask for at any worker: a response's upstream, or a conversation that reasons."""

    key: bytes
    upstream: str | None
    server: str | None = None


class Scored(_Message):
    """A client's word on an answer."""

    request_id: str
    tenant: str
    score: float


class Find(_Message):
    """Who knows this request?"""

    number: int
    request_id: str
    tenant: str


class Found(_Message):
    """The reply of `GET /v1/energy/{id}` as JSON; None where it is not known."""

    number: int
    reply: bytes | None


ToWorker: TypeAlias = (
    Welcome | Engines | Setting | Surroundings | Call | Moved | Prices | Others | Up | Drain | Remembered | Scored | Find | Found
)
ToOwner: TypeAlias = Ready | Failed | Edges | Told | Passed | Sampled | Remembered | Scored | Find | Found
