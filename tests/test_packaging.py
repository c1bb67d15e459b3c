"""Guards of the build: an editable install sees every file, a wheel only those that pyproject.toml names."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest
from source_tree import FOLDERS, ROOT, import_name, product_files, product_modules, project_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SLOW_IMPORTS = ("openai", "litellm", "pynvml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel built from a copy of what git tracks: nothing that an earlier build left can leak into it."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in project_files():
        target = copy / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target, follow_symlinks=False)
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)],
        cwd=copy,
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        yield archive


def test_every_package_is_listed() -> None:
    """Every folder with an `__init__.py` is a package that pyproject.toml lists, and nothing else is listed."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    present = {import_name(path.parent) for path in product_modules() if path.name == "__init__.py"}
    assert set(listed) == present
    assert len(listed) == len(set(listed))


def test_every_module_is_in_a_package() -> None:
    """No Python file lies in a folder without an `__init__.py`, where the wheel would forget it."""
    homeless = [path for path in product_modules() if not (ROOT / path.parent / "__init__.py").exists()]
    assert homeless == []


def test_the_wheel_holds_every_file(wheel: zipfile.ZipFile) -> None:
    """The wheel has every module and every data file of the three folders, and nothing besides."""
    expected = {f"jevons/{path.as_posix()}" for path in product_files()}
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_wheel_is_typed(wheel: zipfile.ZipFile, folder: str) -> None:
    """Type checkers of those who import jevons find its annotations."""
    assert f"jevons/{folder}/py.typed" in wheel.namelist()


def test_the_wheel_carries_licence_and_command(wheel: zipfile.ZipFile) -> None:
    """The licence text and the `jevons` command come with the wheel."""
    names = {name.split(".dist-info/")[1]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert b"Apache License" in wheel.read(names["licenses/LICENSE"])
    assert b"jevons = jevons.proxy.cli:main" in wheel.read(names["entry_points.txt"])


def test_type_checkers_see_the_three_folders() -> None:
    """`typings/jevons/` links to each folder, so that mypy checks the sources and not an installed copy."""
    for folder in FOLDERS:
        assert (ROOT / "typings" / "jevons" / folder).resolve() == ROOT / folder


def is_declaration_only(path: Path) -> bool:
    """Whether a module is a docstring, imports and constants at most: an `__init__.py` that only opens a folder."""
    body = ast.parse((ROOT / path).read_text()).body
    return not any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in body)


def test_every_module_has_its_test() -> None:
    """`proxy/x/y.py` is tested by `tests/proxy/x/test_y.py`, so that a reader finds one from the other."""
    untested = [
        path.as_posix()
        for path in product_modules()
        if not (path.name == "__init__.py" and is_declaration_only(path))
        and not (ROOT / "tests" / path.with_name(f"test_{path.stem.strip('_')}.py")).exists()
    ]
    assert untested == []


def test_the_command_starts_without_slow_imports() -> None:
    """Importing the command line imports neither the OpenAI client nor LiteLLM nor NVML."""
    program = f"import sys, jevons.proxy.cli; print([name for name in {SLOW_IMPORTS!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
