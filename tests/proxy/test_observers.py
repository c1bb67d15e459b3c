"""Everybody who counts, as one."""

from __future__ import annotations

from ledger_world import record

from jevons.proxy.observers import Observers


class Recorder:
    """Remembers what it was told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *words: self.told.append((name, *words))


def test_the_first_hears_everything_and_all_get_the_records():
    """Each call once; a record's export goes to everybody, in their order."""
    first, second = Recorder(), Recorder()
    observers = Observers(first, second)
    ended = record()
    observers.request_started("chat")
    observers.request_ended("chat")
    observers.route_decided("rules", "direct")
    observers.switch_not_honoured("chat")
    observers.answered(ended)
    observers.export(ended)
    names = ["request_started", "request_ended", "route_decided", "switch_not_honoured", "answered", "export"]
    assert [told[0] for told in first.told] == names
    assert second.told == [("export", ended)]
