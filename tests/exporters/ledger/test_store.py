"""What brings a schema up to date."""

from __future__ import annotations

import pytest

from jevons.exporters.ledger.statements import migrations
from jevons.exporters.ledger.store import StoreError, pending


def test_only_what_is_missing_is_pending():
    """An empty database lacks every step, one that is up to date none."""
    steps = migrations()
    assert [version for version, _ in pending(0)] == [step.version for step in steps]
    assert list(pending(steps[-1].version)) == []


def test_a_newer_schema_is_refused():
    """An older jevons does not write into tables that it does not know."""
    with pytest.raises(StoreError, match="made by a newer jevons"):
        list(pending(migrations()[-1].version + 1))
