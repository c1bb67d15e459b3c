"""Where the verbs find the ledger, and what they take from the configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jevons.exporters.ledger.store import Store

from ..config_file import load_config
from ..errors import JevonsError
from ..ledger_factory import make_store, place_of
from .sums import Tariff


@dataclass(frozen=True, slots=True)
class Place:
    """A ledger, and the price and the PUE of the energy in it."""

    ledger: str | Path
    tariff: Tariff


def find_place(config_path: Path | None, ledger: str | None, price_per_kwh: float | None) -> Place:
    """What the options say goes before what the configuration says. Raises JevonsError where neither names a ledger."""
    config = None if config_path is None else load_config(config_path, os.environ)
    energy = None if config is None else config.energy
    price = price_per_kwh if price_per_kwh is not None else (None if energy is None else energy.price_per_kwh)
    tariff = Tariff(price, 1.0 if energy is None else energy.pue)
    if ledger is not None:
        return Place(ledger, tariff)
    if config is None or config.ledger is None:
        raise JevonsError("which ledger? Give --ledger FILE or URL, or --config FILE with a `ledger:` in it")
    return Place(place_of(config.ledger), tariff)


@contextmanager
def opened(place: Place) -> Iterator[Store]:
    """The ledger, open for reading."""
    store = make_store(place.ledger, is_reader=True)
    store.open()
    try:
        yield store
    finally:
        store.close()
