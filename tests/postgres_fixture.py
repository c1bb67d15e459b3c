"""A real PostgreSQL of our own, started once per session in a folder that goes with it; it refuses to run as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

SERVER_USER = "postgres"


@dataclass(frozen=True)
class Cluster:
    """One server that runs, stops and starts again."""

    binaries: Path
    folder: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        """Where a database is."""
        return f"postgresql://jevons@127.0.0.1:{self.port}/{database}"

    def control(self, *words: str) -> None:
        """Tell `pg_ctl` to do something and wait for it."""
        log = self.folder / "log"
        options = ["-D", str(self.folder / "data"), "-w", "-t", "30", "-l", str(log)]
        done = subprocess.run(
            [*as_server_user(), str(self.binaries / "pg_ctl"), *options, *words],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")

    def start(self) -> None:
        """Start it, on loopback only and without waiting for the disk: what it holds is worth nothing."""
        self.control("start", "-o", f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self.control("stop", "-m", "immediate")

    def make_database(self) -> str:
        """The URL of a new, empty one."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def find_binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`: Debian keeps it off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def as_server_user() -> list[str]:
    """What to put before a command of the server's."""
    return ["runuser", "-u", SERVER_USER, "--"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="jevons-postgres-"))
    try:
        if as_server_user():
            shutil.chown(folder, SERVER_USER)
        subprocess.run(
            [
                *as_server_user(),
                str(binaries / "initdb"),
                "-D",
                str(folder / "data"),
                "-U",
                "jevons",
                "-A",
                "trust",
                "-E",
                "UTF8",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        cluster = Cluster(binaries, folder, port)
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
