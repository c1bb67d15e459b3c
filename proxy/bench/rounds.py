"""The whole benchmark: every subject in turn, and all of it again, so that a slow minute of the machine meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ..errors import JevonsError
from ..units import Seconds
from .machine import Cores, Machine, describe_machine, load_average, pick_cores, thread_siblings
from .peers import PEERS, find_peer, install_peer
from .processes import pinned
from .programs import build
from .subjects import Subject, direct, find_nginx, jevons_subjects
from .visits import Visit, Visitor
from .workloads import WORKLOADS, Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    rounds: int = 5
    seconds: Seconds = 1.2
    warmup_seconds: Seconds = 0.5
    only: tuple[str, ...] = ()
    """Names of subjects; none means all."""
    workloads: tuple[Workload, ...] = WORKLOADS


@dataclass(slots=True)
class Run:
    """What was run, where and when."""

    plan: Plan
    machine: Machine
    cores: Cores
    started_at: datetime
    load_average: float
    """Before anything was started."""
    subjects: list[Subject] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Subjects that were not there or failed, and why."""
    visits: list[Visit] = field(default_factory=list)
    took_seconds: Seconds = 0.0


def run_bench(plan: Plan, allowed_cores: set[int], cache: Path, say: Callable[[str], None], *, installs_peers: bool) -> Run:
    """Build, find, measure. Raises JevonsError where nothing can be measured; a subject that fails is skipped with its reason."""
    cores = pick_cores(allowed_cores, thread_siblings())
    run = Run(plan, describe_machine(), cores, datetime.now(UTC), load_average())
    programs = build(cache / "bench")
    if installs_peers:
        _install_peers(plan, cache / "peers", run.skipped, say)
    run.subjects = find_subjects(plan.only, cache / "peers", run.skipped)
    began = time.monotonic()
    with pinned(cores.load):
        visitor = Visitor(programs, plan.workloads, cores, plan.seconds, plan.warmup_seconds, say)
        visit_all(visitor, plan.rounds, run)
    run.took_seconds = time.monotonic() - began
    return run


def visit_all(visitor: Visitor, rounds: int, run: Run) -> None:
    """A B C, A B C, …; who fails is not asked again."""
    subjects = list(run.subjects)
    for number in range(1, rounds + 1):
        for subject in list(subjects):
            visitor.say(f"round {number} of {rounds}: {subject.title}")
            try:
                run.visits.append(visitor.visit(subject, number))
            except JevonsError as error:
                run.skipped[subject.name] = str(error)
                subjects.remove(subject)
                visitor.say(f"  {error}")


def find_subjects(only: Sequence[str], peers: Path, skipped: dict[str, str]) -> list[Subject]:
    """Those wanted that are installed; going without a proxy is always among them, since added latencies start from it.

    Raises JevonsError for a name that nobody has.
    """
    finders: dict[str, Callable[[], Subject]] = {subject.name: partial(_itself, subject) for subject in jevons_subjects()}
    finders["nginx"] = find_nginx
    finders |= {peer.name: partial(find_peer, peer, peers) for peer in PEERS}
    for name in only:
        if name not in finders:
            raise JevonsError(f"there is nothing called {name!r} to measure: choose from {', '.join(finders)}")
    found = [direct()]
    for name, find in finders.items():
        if not only or name in only:
            try:
                found.append(find())
            except JevonsError as error:
                skipped.setdefault(name, str(error))
    return found


def _itself(subject: Subject) -> Subject:
    return subject


def _install_peers(plan: Plan, folder: Path, skipped: dict[str, str], say: Callable[[str], None]) -> None:
    for peer in PEERS:
        if not plan.only or peer.name in plan.only:
            say(f"installing {peer.requirement}")
            try:
                install_peer(peer, folder)
            except JevonsError as error:
                skipped[peer.name] = str(error)
                say(f"  {error}")
