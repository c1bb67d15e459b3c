"""Which NVIDIA boards a process may use, by its `CUDA_VISIBLE_DEVICES`: UUIDs, slices of split boards, or indices.

CUDA reads the list until the first entry that it does not know, and ignores that one and what follows; an entry may be
shortened to the beginning of a UUID. An index is the weak form: the driver library counts boards by their PCI address, CUDA by
their speed unless `CUDA_DEVICE_ORDER=PCI_BUS_ID` is set. Where boards differ and nothing says how they are counted, the answer
is that nobody knows, and not a guess: energy of the wrong board is worse than none.

https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import MeterError

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
ORDER_VARIABLE: Final = "CUDA_DEVICE_ORDER"
_PCI_ORDER: Final = "PCI_BUS_ID"
_LEGACY_SLICE: Final = "MIG-GPU-"


@dataclass(frozen=True, slots=True)
class Board:
    """One board, in the order of the driver library. `slices` are the UUIDs of its MIG devices."""

    uuid: str
    name: str
    slices: tuple[str, ...] = ()
    is_split: bool = False


@dataclass(frozen=True, slots=True)
class Visible:
    """The boards a process may use, by UUID; of those that are split, the slices it named."""

    boards: frozenset[str]
    slices: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    """What CUDA ignores of the list, and why."""


def visible_boards(variable: str | None, boards: Sequence[Board], *, order: str | None = None) -> Visible:
    """What a process with these two variables in its environment sees; raises MeterError where that cannot be known.

    Args:
        variable: `CUDA_VISIBLE_DEVICES`; None where it is not set, which hides nothing.
        boards: All boards, in the driver library's order.
        order: `CUDA_DEVICE_ORDER`; None where it is not set, which counts by speed.
    """
    if variable is None:
        return Visible(frozenset(board.uuid for board in boards))
    entries = [entry.strip() for entry in variable.split(",")] if variable.strip() else []
    chosen: list[Board] = []
    slices: set[str] = set()
    counted: list[int] = []
    notes: list[str] = []
    for entry in entries:
        if entry.isdecimal() and int(entry) < len(boards):
            counted.append(int(entry))
        elif (found := find_board(entry, boards)) is not None:
            chosen.append(found[0])
            slices.update(found[1:2])
        else:
            notes.append(f"{VARIABLE}={variable}: CUDA knows no {entry!r} and ignores it and what follows")
            break
    chosen += _by_index(counted, boards, f"{VARIABLE}={variable}", is_pci_order=order == _PCI_ORDER)
    return Visible(frozenset(board.uuid for board in chosen), frozenset(slices), tuple(notes))


def find_board(entry: str, boards: Sequence[Board]) -> tuple[Board] | tuple[Board, str] | None:
    """The board of a UUID, or the board and the slice of a slice's; both may be shortened as long as one fits only."""
    if entry.startswith(_LEGACY_SLICE):
        whole = [board for board in boards if board.uuid == entry.removeprefix("MIG-").partition("/")[0]]
        return (whole[0], entry) if whole else None
    if entry.startswith("MIG-"):
        parts = [(board, slice_) for board in boards for slice_ in board.slices if slice_.startswith(entry)]
        return parts[0] if len(parts) == 1 else None
    if entry.startswith("GPU-"):
        whole = [board for board in boards if board.uuid.startswith(entry)]
        return (whole[0],) if len(whole) == 1 else None
    return None


def _by_index(counted: Sequence[int], boards: Sequence[Board], said: str, *, is_pci_order: bool) -> list[Board]:
    if len(set(counted)) in {0, len(boards)}:
        return [boards[index] for index in counted]  # none, or all in whatever order
    if any(board.is_split for board in boards):
        raise MeterError(f"{said} counts the slices of split boards too; name slices by their UUID (MIG-…)")
    names = sorted({board.name for board in boards})
    if len(names) > 1 and not is_pci_order:
        raise MeterError(
            f"{said} counts boards by their speed, and they differ ({', '.join(names)}): "
            f"use UUIDs, or set {ORDER_VARIABLE}={_PCI_ORDER}, or name the devices in the configuration"
        )
    return [boards[index] for index in counted]
