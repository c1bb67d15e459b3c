"""Everybody who counts what passes, as the one observer that the pipeline knows."""

from __future__ import annotations

from jevons.exporters.exporter import Exporter

from .exchange import Record
from .pipeline import Observer


class Observers:
    """The first hears everything, the exporters each record once its energy is final."""

    def __init__(self, first: Observer, *exporters: Exporter) -> None:
        self._first = first
        self._exporters = exporters
        self.request_started = first.request_started
        self.request_ended = first.request_ended
        self.route_decided = first.route_decided
        self.switch_not_honoured = first.switch_not_honoured
        self.answered = first.answered

    def export(self, record: Record) -> None:
        """Pass the record on to everybody."""
        self._first.export(record)
        for exporter in self._exporters:
            exporter.export(record)
