"""Trees of small files, as the kernel shows them under /sys and /proc, made by tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write each file with its text, its folders made where they are missing; a text `-> target` makes a symbolic link."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            path.unlink(missing_ok=True)
            path.symlink_to(text.removeprefix("-> "))
        else:
            path.write_text(text)
    return root


@contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that every user can enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_privilege() -> Iterator[None]:
    """As a user who may read only what everybody may: root, who may read all, becomes nobody for a while."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
