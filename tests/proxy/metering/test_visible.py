"""What a process sees by its CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.visible import Board, Visible, visible_boards

A = Board("GPU-aaaa1111-0000", "NVIDIA A100")
B = Board("GPU-aaaa2222-0000", "NVIDIA A100")
C = Board("GPU-cccc3333-0000", "NVIDIA A100")
SMALL = Board("GPU-dddd4444-0000", "NVIDIA T4")
SPLIT = Board("GPU-eeee5555-0000", "NVIDIA A100", ("MIG-1111-x", "MIG-1122-y"), is_split=True)
EQUAL = [A, B, C]


def seen(variable, boards=EQUAL, order=None):
    return visible_boards(variable, boards, order=order)


def uuids(*boards):
    return frozenset(board.uuid for board in boards)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, uuids(A, B, C)),
        ("", frozenset()),
        ("  ", frozenset()),
        ("0", uuids(A)),
        ("2,0", uuids(A, C)),
        (" 1 , 2 ", uuids(B, C)),
        ("0,1,2", uuids(A, B, C)),
        ("0,0", uuids(A)),
        ("GPU-cccc3333-0000", uuids(C)),
        ("GPU-cc", uuids(C)),
        ("GPU-aaaa1", uuids(A)),
        ("GPU-aaaa1111-0000,GPU-cc,1", uuids(A, B, C)),
    ],
)
def test_what_is_visible(variable, expected):
    """Unset is everything, empty is nothing; indices among equal boards and UUIDs, also shortened ones, are what they say."""
    assert seen(variable) == Visible(expected)


@pytest.mark.parametrize(
    ("variable", "expected", "ignored"),
    [
        ("0,2,-1,1", uuids(A, C), "-1"),
        ("-1", frozenset(), "-1"),
        ("NoDevFiles", frozenset(), "NoDevFiles"),
        ("1,3,0", uuids(B), "3"),
        ("GPU-aaaa,2", frozenset(), "GPU-aaaa"),
        ("GPU-ffff", frozenset(), "GPU-ffff"),
        ("0,,1", uuids(A), ""),
        ("MIG-1111-x", frozenset(), "MIG-1111-x"),
        ("MIG-GPU-ffff/1/0", frozenset(), "MIG-GPU-ffff/1/0"),
        ("1.5", frozenset(), "1.5"),
        ("²", frozenset(), "²"),
    ],
)
def test_what_cuda_ignores(variable, expected, ignored):
    """From the first entry that fits none, or more than one, nothing counts any more; what that was is said."""
    found = seen(variable)
    assert (found.boards, found.slices) == (expected, frozenset())
    assert found.notes == (f"CUDA_VISIBLE_DEVICES={variable}: CUDA knows no {ignored!r} and ignores it and what follows",)


def test_indices_among_different_boards_are_not_guessed():
    """CUDA counts by speed, the driver by address: which board is meant nobody knows, and the reason says what to do."""
    with pytest.raises(
        MeterError, match=r"=1 counts boards by their speed, and they differ \(NVIDIA A100, NVIDIA T4\): use UUIDs"
    ):
        seen("1", [SMALL, A])


def test_indices_among_different_boards_count_where_their_order_is_said():
    """With CUDA_DEVICE_ORDER=PCI_BUS_ID the order is the driver's; another word there is none."""
    assert seen("1", [SMALL, A], "PCI_BUS_ID").boards == uuids(A)
    with pytest.raises(MeterError):
        seen("1", [SMALL, A], "FASTEST_FIRST")


def test_all_indices_are_all_boards_in_any_order():
    """Then it does not matter how they are counted."""
    assert seen("1,0", [SMALL, A]).boards == uuids(A, SMALL)
    assert seen("0", [SPLIT]).boards == uuids(SPLIT)


@pytest.mark.parametrize(
    ("variable", "slices"),
    [
        ("MIG-1111-x", {"MIG-1111-x"}),
        ("MIG-112", {"MIG-1122-y"}),
        ("MIG-1111-x,MIG-1122-y", {"MIG-1111-x", "MIG-1122-y"}),
        (f"MIG-{SPLIT.uuid}/1/0", {f"MIG-{SPLIT.uuid}/1/0"}),
    ],
)
def test_a_slice_is_a_slice_of_its_board(variable, slices):
    """Both ways of naming one lead to the board, whose energy is the only one that is measured."""
    assert seen(variable, [A, SPLIT]) == Visible(uuids(SPLIT), frozenset(slices))


def test_an_ambiguous_slice_is_ignored():
    """As CUDA does with a beginning that fits two."""
    assert seen("MIG-11", [SPLIT]).boards == frozenset()


def test_indices_beside_split_boards_are_not_guessed():
    """There CUDA counts slices as well."""
    with pytest.raises(MeterError, match="counts the slices of split boards too"):
        seen("1", [A, SPLIT], "PCI_BUS_ID")


@settings(deadline=None)
@given(st.text(alphabet="0123456789,-GPUMI/abcdef ", max_size=30))
def test_whatever_is_written_names_no_board_that_is_not_there(variable):
    """Any text gives some of the boards."""
    assert seen(variable).boards <= uuids(A, B, C)
