"""From the section `ledger` of a configuration to the ledger, and from a file or URL to a store that is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from jevons.exporters.ledger.ledger import Ledger, LedgerSettings
from jevons.exporters.ledger.postgres_store import PostgresStore
from jevons.exporters.ledger.sqlite_store import SqliteStore
from jevons.exporters.ledger.store import NoLedgerYet, Store, StoreError

from .config_ledger import PROMPTS_WARNING, LedgerSection
from .metering_state import MeteringState


def make_ledger(section: LedgerSection, metering: Callable[[], MeteringState], version: str) -> Ledger:
    """The ledger, not open yet. Raises JevonsError where what it takes is not installed."""
    if section.prompts:
        structlog.get_logger("jevons.ledger").warning(PROMPTS_WARNING)
    settings = LedgerSettings(
        flush_seconds=section.flush_seconds,
        batch_size=section.batch_size,
        queue_size=section.queue_size,
        retention_days=section.retention_days,
    )
    place = place_of(section)
    store, archive = make_store(place, is_reader=False), make_store(place, is_reader=True)
    return Ledger(store, archive, settings, metering=metering, version=version)


def place_of(section: LedgerSection) -> str | Path:
    """The file, or the URL with its password."""
    return section.path if section.path is not None else (section.url.get_secret_value() if section.url else "")


def make_store(place: str | Path, *, is_reader: bool) -> Store:
    """The store at a file or a `postgresql://` URL."""
    if isinstance(place, str) and place.startswith(("postgresql://", "postgres://")):
        return PostgresStore(place, is_reader=is_reader)
    return SqliteStore(Path(place), is_reader=is_reader)


def examine_ledger(section: LedgerSection) -> dict[str, object]:
    """What `jevons check` says of it: where it is, what is wrong with it, and that it keeps prompts; nothing is written."""
    store = make_store(place_of(section), is_reader=True)
    problem, is_there = None, True
    try:
        store.open()
    except NoLedgerYet:
        is_there = False
    except StoreError as error:
        problem = str(error)
    finally:
        store.close()
    warning = PROMPTS_WARNING if section.prompts else None
    return {"place": store.name, "is_there": is_there, "problem": problem, "warning": warning}


def render_ledger(report: dict[str, object]) -> list[str]:
    """The same for people."""
    state = f"down: {report['problem']}" if report["problem"] else ("there" if report["is_there"] else "made at start")
    return [f"ledger {report['place']}: {state}", *([f"warning: {report['warning']}"] if report["warning"] else [])]
