"""The house rules of CONTRIBUTING.md that no linter holds: tails are what separate good code from bad."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from source_tree import ROOT, product_modules, project_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50

# A broad `except` stands only where a bug in one part must not take the rest down, each with its reason.
GUARDS = {
    "exporters/exporter.py:_deliver": "an exporter's bug, or that of a library under it, must not stop traffic",
    "proxy/server/eager.py:start_at_once": "a bug in a request's first step is its task's, as one in any other step",
    "proxy/server/admin.py:_render": "whatever a metric's fault is, who scrapes is told of it, and the next scrape begins anew",
}

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")

PYTHON_FILES = [path for path in project_files() if path.suffix == ".py" and not (ROOT / path).is_symlink()]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, methods and nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` takes everything."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught)


def reraises(handler: ast.ExceptHandler) -> bool:
    """Whether an `except` ends by letting the exception go on: then it hides nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("path", PYTHON_FILES, ids=str)
def test_modules_and_functions_stay_short(path: Path) -> None:
    """No module has more than 400 lines, no function more than 50."""
    text = (ROOT / path).read_text()
    long = [
        f"{path}:{node.lineno} {node.name}"
        for node in functions(ast.parse(text))
        if (node.end_lineno or node.lineno) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert text.count("\n") <= LONGEST_MODULE
    assert long == []


@pytest.mark.parametrize("path", PYTHON_FILES, ids=str)
def test_no_globals_and_no_mocks(path: Path) -> None:
    """No `global` statement, and no mock library: what is faked is the card below the driver and the clock."""
    tree = ast.parse((ROOT / path).read_text())
    imported = [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)] == []
    assert [name for name in imported if "mock" in name.lower()] == []


def broad_handlers() -> set[str]:
    """Every function of the product that catches everything and lets it go no further."""
    return {
        f"{path}:{node.name}"
        for path in product_modules()
        for node in functions(ast.parse((ROOT / path).read_text()))
        for inner in ast.walk(node)
        if isinstance(inner, ast.ExceptHandler) and is_broad(inner) and not reraises(inner)
    }


def test_errors_are_not_swallowed() -> None:
    """The argued guards, and nobody else, catch every exception: a swallowed error becomes a false measurement."""
    assert broad_handlers() == set(GUARDS)


@pytest.mark.parametrize("path", [path for path in PYTHON_FILES if path.name != "test_house.py"], ids=str)
def test_nothing_is_left_unfinished(path: Path) -> None:
    """No note to oneself stays in the code: what is missing is an issue, not a comment."""
    text = (ROOT / path).read_text()
    assert [text.count("\n", 0, found.start()) + 1 for found in UNFINISHED.finditer(text)] == []


@pytest.mark.parametrize("path", [path for path in PYTHON_FILES if path.name.startswith("test_")], ids=str)
def test_every_test_says_what_it_holds(path: Path) -> None:
    """Each test has a docstring of the behaviour it holds."""
    tests = [node for node in functions(ast.parse((ROOT / path).read_text())) if node.name.startswith("test_")]
    assert [f"{path}:{node.lineno} {node.name}" for node in tests if not ast.get_docstring(node)] == []
