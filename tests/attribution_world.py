"""Short runs of the attribution bench's worlds, for its tests."""

from __future__ import annotations

from dataclasses import replace

from jevons.proxy.bench.attribution.trace import Trace
from jevons.proxy.bench.attribution.workloads import WORKLOADS, Workload
from jevons.proxy.bench.attribution.world import Plan, World

SECONDS = 20.0


def workload(name: str, **changes) -> Workload:
    """One of the table's, for a short time."""
    [found] = [one for one in WORKLOADS if one.name == name]
    return replace(found, plan=replace(found.plan, **{"seconds": SECONDS, **changes}))


def plan(name: str, **changes) -> Plan:
    """What that workload plays."""
    return workload(name, **changes).plan


def trace(name: str, seed: int = 1, **changes) -> Trace:
    """One short run of it."""
    return World(plan(name, **changes), seed).run()
