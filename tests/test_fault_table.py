"""What the manual and the threat model say is proved by a test is: each test that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chaos_upstream import Fault
from source_tree import ROOT

MANUAL = (ROOT / "docs" / "operating.md").read_text()
THREATS = (ROOT / "docs" / "threat-model.md").read_text()
TESTS = {path.relative_to(ROOT / "tests"): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
FUNCTIONS = [name for text in TESTS.values() for name in re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE)]
BREAKS = {"refuses", *Fault}
"""What test_chaos.py breaks a server with."""


def rows(text: str, heading: str, columns: int) -> list[list[str]]:
    """The cells of the rows below a heading, without the two of the table's own head."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    assert all(len(row) == columns for row in cells)
    return cells[2:]


def named(cell: str) -> list[str]:
    """What stands in code."""
    return re.findall(r"`([^`]+)`", cell)


FAULTS = rows(MANUAL, "Faults", 4)
DEFENCES = rows(THREATS, "Defences", 3)


def test_the_tables_are_there() -> None:
    """The tests below do not pass for want of rows."""
    assert len(FAULTS) > 20
    assert len(DEFENCES) > 15


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[0])
def test_every_fault_is_proved(row: list[str]) -> None:
    """By tests that begin as they are named there, with a fault that is broken so."""
    proofs = named(row[3])
    assert proofs
    for proof in proofs:
        name, _, fault = proof.removesuffix("]").partition("[")
        start = name.rstrip("…")
        assert not start or any(function.startswith(start) for function in FUNCTIONS), proof
        assert not fault or fault in BREAKS, proof


def test_every_way_to_break_a_server_has_its_row() -> None:
    """None is left out of the table."""
    told = {fault for row in FAULTS for proof in named(row[3]) for fault in re.findall(r"\[(.+)\]$", proof)}
    assert told == {str(fault) for fault in BREAKS}


@pytest.mark.parametrize("row", DEFENCES, ids=lambda row: row[0])
def test_every_defence_is_shown(row: list[str]) -> None:
    """By modules that are there, and by tests within them."""
    shown = named(row[2])
    assert shown
    module = ""
    for each in shown:
        if each.endswith("/"):
            assert (ROOT / "tests" / each).is_dir(), each
            continue
        if not each.startswith("…"):
            module = each.partition("::")[0]
            assert texts_of(module), each
        end = each.partition("::")[2] or (each.lstrip("…") if each.startswith("…") else "")
        functions = re.findall(r"def (test_\w+)", "\n".join(texts_of(module)))
        assert not end or any(function.endswith(end) for function in functions), each


def texts_of(module: str) -> list[str]:
    """The test files of that name, which may say their folder too."""
    wanted = Path(f"{module}.py").parts
    return [text for path, text in TESTS.items() if path.parts[-len(wanted) :] == wanted]
