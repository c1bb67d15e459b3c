"""How many sequences each process has at each engine, in memory that all of them see: the N of a step's F/N.

Each process writes its own row and reads the others'. A change elsewhere is seen at the next look (`SharedEngine.look`), some
milliseconds later; a chunk in between pays F/N with the old N. That shifts weights between requests of the same bin only: what
they pay together is the meter's.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from typing import Final, Self

from ..errors import JevonsError

ENGINES: Final = 1024
"""Room for so many; a reload may bring some, and none is given away again."""
_BYTES: Final = 4


class Plane(IntEnum):
    """What is counted."""

    DECODING = 0
    READING = 1
    IN_FLIGHT = 2


_ROW: Final = len(Plane) * ENGINES


class SharedCounts:
    """A table of counts by process, by what is counted and by engine."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._cells = memoryview(memory).cast("i")

    @classmethod
    def create(cls, rows: int) -> tuple[Self, int]:
        """A new table of zeros, and the file descriptor by which a child process opens it."""
        descriptor = os.memfd_create("jevons-counts")
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library takes it so
        os.ftruncate(descriptor, rows * _ROW * _BYTES)
        return cls.open(descriptor, rows), descriptor

    @classmethod
    def open(cls, descriptor: int, rows: int) -> Self:
        """The table behind an inherited file descriptor."""
        return cls(mmap.mmap(descriptor, rows * _ROW * _BYTES))

    def row(self, row: int) -> Row:
        """What one process writes, and sees of the others."""
        return Row(self._cells, row)

    def in_flight(self, slot: int) -> int:
        """Attempts in flight at one engine, of all processes."""
        return sum(self._cells[Plane.IN_FLIGHT * ENGINES + slot :: _ROW])

    def clear(self, row: int) -> None:
        """That process is gone, and has nothing anywhere."""
        start = row * _ROW
        self._cells[start : start + _ROW] = memoryview(bytes(_ROW * _BYTES)).cast("i")


class Row:
    """One process's place among the others."""

    def __init__(self, cells: memoryview[int], number: int) -> None:
        self._cells = cells
        self.number = number

    def column(self, plane: Plane, slot: int) -> memoryview[int]:
        """One count, of one engine, by process: ours is at our number. Raises JevonsError where there is no room for so many."""
        if slot >= ENGINES:
            raise JevonsError(f"more than {ENGINES} upstreams, those of earlier configurations included: restart")
        return self._cells[plane * ENGINES + slot :: _ROW]
