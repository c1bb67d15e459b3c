"""The table of counts that all processes see."""

import os

import pytest

from jevons.proxy.errors import JevonsError
from jevons.proxy.metering.shared_counts import ENGINES, Plane, SharedCounts


def test_what_one_writes_another_reads():
    """Through a second mapping of the same memory, as a child process has it; a row that is cleared is nobody's."""
    mine, descriptor = SharedCounts.create(2)
    theirs = SharedCounts.open(descriptor, 2)
    mine.row(0).column(Plane.DECODING, 3)[0] = 2
    other = theirs.row(1).column(Plane.DECODING, 3)
    other[theirs.row(1).number] = 5
    assert list(other) == [2, 5]
    assert list(theirs.row(1).column(Plane.READING, 3)) == [0, 0]
    theirs.row(1).column(Plane.IN_FLIGHT, 3)[1] = 4
    assert mine.in_flight(3) == 4
    assert mine.in_flight(2) == 0
    mine.clear(1)
    assert list(other) == [2, 0]
    assert mine.in_flight(3) == 0
    os.close(descriptor)


def test_too_many_engines():
    """It is said, and nothing is written beyond the table."""
    counts, descriptor = SharedCounts.create(1)
    counts.row(0).column(Plane.IN_FLIGHT, ENGINES - 1)
    with pytest.raises(JevonsError, match="more than 1024 upstreams"):
        counts.row(0).column(Plane.IN_FLIGHT, ENGINES)
    os.close(descriptor)
