"""What tests of the ledger put in and read back; the fixtures that open one are in `ledger_fixture`."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from hypothesis import strategies as st
from msgspec import structs
from psycopg.rows import dict_row

from jevons.exporters.ledger.postgres_store import PostgresStore
from jevons.exporters.ledger.rows import RunRow
from jevons.exporters.ledger.sqlite_store import SqliteStore
from jevons.exporters.ledger.store import Store
from jevons.proxy.exchange import (
    Attempt,
    Endpoint,
    Energy,
    EnergyStatus,
    Method,
    Outcome,
    Plan,
    Reason,
    Record,
    Target,
    Upstream,
    Usage,
)
from jevons.proxy.metering_state import DeviceState, MeteringState
from jevons.proxy.observed import Intensity

UPSTREAM = Upstream("chat", "http://127.0.0.1:8000/v1", "model-8b")
ENERGY = Energy(
    joules=12.5, low=11.0, high=14.0, method=Method.SIMULATED, status=EnergyStatus.FINAL, scope="gpu",
    quality=("interpolated", "bypass"), gco2e=0.0013, intensity=Intensity(380.0, "uk_carbon_intensity", 1_700_000_000.0),
)  # fmt: skip
RUN = RunRow("run-1", "0.1.0", "here", 1, 1000.0, 1000.0, None, "open", 0)


@dataclass(frozen=True)
class Database:
    """A place for a ledger, of one kind."""

    place: str | Path

    def store(self, *, is_reader: bool = False) -> Store:
        """A store on it, not open yet."""
        if isinstance(self.place, Path):
            return SqliteStore(self.place, is_reader=is_reader, busy_seconds=0.05)
        return PostgresStore(self.place, is_reader=is_reader)

    def rows(self, sql: str) -> list[dict[str, object]]:
        """What a query finds, without any code of ours."""
        if isinstance(self.place, Path):
            connection = sqlite3.connect(self.place)
            connection.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in connection.execute(sql)]
            finally:
                connection.close()
        with psycopg.connect(self.place, row_factory=dict_row) as other:
            return list(other.execute(sql.encode()))

    def run(self, sql: str) -> None:
        """Change something behind our back."""
        if isinstance(self.place, Path):
            connection = sqlite3.connect(self.place, isolation_level=None)
            try:
                connection.execute(sql)
            finally:
                connection.close()
            return
        with psycopg.connect(self.place, autocommit=True) as other:
            other.execute(sql.encode())


def record(request_id: str = "req_1", **fields: object) -> Record:
    """One that has ended well."""
    plan = (
        Plan()
        .because(Reason("caller", "no match", ""))
        .sent_to((Target(UPSTREAM),), Reason("rules", "proofs", "direct"), "direct")
    )
    usage = Usage(prompt=10, cached=2, completion=20)
    whole = Record(
        request_id=request_id, tenant="alice", endpoint=Endpoint.CHAT, started_at=1_700_000_000.25, client_request_id="mine",
        upstream="chat", model="model-8b", plan=plan, usage=usage, energy=ENERGY,
        attempts=(Attempt("chat", Outcome.OK, usage, ENERGY),), outcome=Outcome.OK, time_to_first_token_seconds=0.2,
        duration_seconds=1.5, stream=True,
    )  # fmt: skip
    return structs.replace(whole, **fields)


def now_records(count: int, **fields: object) -> list[Record]:
    """So many that have just ended."""
    return [record(f"req_{place}", started_at=time.time(), **fields) for place in range(count)]


def metering_state(**accounts: float) -> MeteringState:
    """One device with these accounts."""
    device = DeviceState(
        "GPU-1", "card", is_up=True, reason=None, watts=100.0, counter_joules=None,
        settled_joules=sum(accounts.values()), accounts=accounts,
    )  # fmt: skip
    return MeteringState(devices=(device,))


_TEXT = st.one_of(st.none(), st.text(st.characters(exclude_categories=("Cs",)), max_size=20))
_COUNT = st.one_of(st.none(), st.integers(0, 2**40))
_JOULES = st.one_of(st.none(), st.floats(0, 1e12))
ENERGIES = st.builds(
    Energy, _JOULES, _JOULES, _JOULES, st.sampled_from([None, *Method]), st.sampled_from(EnergyStatus), _TEXT,
    st.tuples(st.sampled_from(["gap", "reset"])), _JOULES,
)  # fmt: skip
USAGES = st.builds(Usage, _COUNT, _COUNT, _COUNT, _COUNT, st.booleans())
ATTEMPTS = st.builds(Attempt, st.sampled_from(["chat", "chat-2"]), st.sampled_from([None, *Outcome]), USAGES, ENERGIES, _JOULES)
PLANS = st.sampled_from([Plan(), record().plan])
RECORDS = st.builds(
    Record, request_id=st.uuids().map(str), tenant=st.sampled_from(["alice", "bob"]), endpoint=st.sampled_from(Endpoint),
    started_at=st.floats(0, 4e9), client_request_id=_TEXT, upstream=st.sampled_from([None, "chat"]), model=_TEXT, plan=PLANS,
    usage=USAGES, energy=ENERGIES, attempts=st.lists(ATTEMPTS, max_size=3).map(tuple), outcome=st.sampled_from(Outcome),
    stream=st.booleans(), session=_TEXT,
)  # fmt: skip
