"""The two C programs of the bench: a model server and a load client far cheaper than any proxy, compiled on demand."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import JevonsError

FLAGS: Final = ("-std=gnu11", "-O2")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the two lie."""

    mock: Path
    load: Path


def cache_folder() -> Path:
    """Where jevons keeps what it can make again."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".cache") / "jevons"


def build(folder: Path) -> Programs:
    """Compile both into `folder`, unless they are there already for these sources and this compiler.

    The compiler is `$CC`, else `cc`. Raises JevonsError where there is none, or where it fails.
    """
    compiler = _find_compiler()
    sources = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in {".c", ".h"})
    digest = hashlib.sha256(shlex.join((*compiler, *FLAGS)).encode())
    for source in sources:
        digest.update(source.read_bytes())
    stamp = digest.hexdigest()[:16]
    return Programs(_compile(compiler, "mock", folder, stamp), _compile(compiler, "load", folder, stamp))


def _compile(compiler: list[str], name: str, folder: Path, stamp: str) -> Path:
    program = folder / f"{name}-{stamp}"
    if program.exists():
        return program
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # moved when whole: another run may be about to start it
            built = Path(scratch) / name
            command = [*compiler, *FLAGS, "-o", str(built), str(Path(__file__).with_name(f"{name}.c"))]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the operator's own compiler
            if done.returncode != 0:
                raise JevonsError(f"{name}.c does not compile: {shlex.join(command)}\n{done.stderr}")
            built.replace(program)
    except OSError as error:
        raise JevonsError(f"the bench's programs cannot be kept in {folder}: {error.strerror}") from error
    return program


def _find_compiler() -> list[str]:
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise JevonsError(f"the bench needs a C compiler and there is no {command[0]!r}: install one (Debian: gcc) or set CC")
    return command
