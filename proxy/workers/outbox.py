"""What happens at a worker on its way to the owner: gathered, and sent some times a second."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from jevons.exporters.live.feed import request_json
from jevons.exporters.prometheus import PrometheusExporter

from ..exchange import Record
from ..router import Router
from ..units import Seconds
from ..upstreams.fleet import Fleet
from .link import Link
from .memories import SharedBalances
from .messages import Passed, Sampled, ToWorker

SEND_SECONDS: Final[Seconds] = 0.1
MOST_SHOWN: Final = 10
"""Requests for the live page, each time: it keeps the latest hundred, and looks once a second."""
_PAIRS_EVERY: Final = 20
"""So seldom, in sendings, the pairs of the holdout are sent."""


class Outbox:
    """An exporter, and what else there is to tell. `wants_records`: whether the owner writes every request somewhere."""

    def __init__(
        self, link: Link[ToWorker], counted: PrometheusExporter, balances: SharedBalances, *, wants_records: bool
    ) -> None:
        self._link = link
        self._counted = counted
        self._balances = balances
        self._records: list[Record] = []
        self._latest: deque[Record] = deque(maxlen=MOST_SHOWN)
        self.export: Callable[[Record], None] = self._keep if wants_records else self._latest.append
        """A request has ended, and its energy is final."""
        self._in_flight = -1
        self._sampled = 0
        self._turn = 0

    def _keep(self, record: Record) -> None:
        self._latest.append(record)
        self._records.append(record)

    def send(self, in_flight: int, fleet: Fleet, router: Router, *, is_last: bool = False) -> None:
        """Tell what is new, if anything is."""
        changes, used = self._counted.take_changes(), self._balances.take_changes()
        self._turn += 1
        if changes or used or self._latest or in_flight != self._in_flight:
            message = Passed(
                in_flight,
                tuple(changes),
                msgspec.json.encode([request_json(record) for record in self._latest]) if self._latest else b"[]",
                pickle.dumps(self._records) if self._records else b"",
                used,
                tuple(fleet.servers()),
                tuple(fleet.lines()),
            )
            self._link.send(message)
            self._latest.clear()
            self._records.clear()
            self._in_flight = in_flight
        holdout = router.holdout
        if holdout is not None and holdout.requests and (is_last or self._turn % _PAIRS_EVERY == 0):
            pairs = tuple((pair.routed.value, pair.own, pair.other) for pair in holdout.pairs)
            self._link.send(Sampled(holdout.requests, holdout.joules, pairs, holdout.sums))
