"""The project's own files, for the tests that guard its build and its house rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("proxy", "policies", "exporters")


def project_files() -> list[Path]:
    """Every file that git tracks or would track, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).exists())


def product_files() -> list[Path]:
    """Those inside the three folders that make the product."""
    return [path for path in project_files() if path.parts[0] in FOLDERS]


def product_modules() -> list[Path]:
    """The Python files among them."""
    return [path for path in product_files() if path.suffix == ".py"]


def import_name(folder: Path) -> str:
    """`proxy/server` is imported as `jevons.proxy.server`."""
    return ".".join(("jevons", *folder.parts))
