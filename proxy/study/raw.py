"""The raw file of a study: one JSON object a line, only ever appended to, so that a run that was killed can go on.

A line is written whole by one call and flushed to the disk. What a killed run left of a line is cut off before the next is added.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeAlias

import msgspec

from ..errors import JevonsError
from ..units import Joules, Seconds, Watts

FILE_NAME: Final = "raw.jsonl"
OK: Final = "ok"

Key: TypeAlias = tuple[str, str, int, int]
"""Arm, prompt, repetition, level of concurrency."""


class Header(msgspec.Struct, tag="header", tag_field="kind", frozen=True):
    """What was run, on what. A resumed run adds another, with its own versions and devices."""

    fingerprint: str
    """Of everything that must not change between a run and its continuation."""
    started_at: str
    name: str
    method: str | None
    """`measured`, `simulated` or `estimated`; None where nothing can be read."""
    study: dict[str, object]
    """The study as it was written, keys and tokens left out."""
    prompts_hash: str
    versions: dict[str, str]
    devices: list[str] = []
    """Names of the cards."""
    upstreams: dict[str, str] = {}
    """Model by upstream."""


class Reply(msgspec.Struct, tag="reply", tag_field="kind", frozen=True):
    """One request of the study and what came of it. None is unknown, never 0."""

    arm: str
    prompt: str
    category: str
    repetition: int
    level: int
    """How many requests were held in flight."""
    outcome: str
    """`ok`, or what went wrong."""
    started_at: float = 0.0
    request_id: str = ""
    upstream: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    """The reasoning included."""
    reasoning_tokens: int | None = None
    words: int | None = None
    """Of the visible answer."""
    reasoning_words: int | None = None
    joules: Joules | None = None
    low: Joules | None = None
    high: Joules | None = None
    method: str | None = None
    quality: list[str] = []
    seconds: Seconds | None = None
    first_token_seconds: Seconds | None = None
    imposed_tokens: int | None = None
    score: float | None = None
    """1 right, 0 wrong, by the prompt's own check; None where it has none."""
    answer: str | None = None
    """Kept only where the study says so, or a judge is to read it."""

    @property
    def key(self) -> Key:
        """Which of the study's requests it is."""
        return self.arm, self.prompt, self.repetition, self.level

    @property
    def is_usable(self) -> bool:
        """Whether it ended well and with a known energy and length."""
        return self.outcome == OK and bool(self.joules) and bool(self.completion_tokens)


class Idle(msgspec.Struct, tag="idle", tag_field="kind", frozen=True):
    """The devices with nobody in flight."""

    when: str
    """`before` or `after`."""
    seconds: Seconds
    watts: Watts | None
    """Of all devices together; None where that could not be read."""


class Judgement(msgspec.Struct, tag="judgement", tag_field="kind", frozen=True):
    """What the judge thought of one answer, from 0 to 1; None where it gave no number."""

    arm: str
    prompt: str
    repetition: int
    level: int
    judge: str
    score: float | None

    @property
    def key(self) -> Key:
        """Whose answer."""
        return self.arm, self.prompt, self.repetition, self.level


Line: TypeAlias = Header | Reply | Idle | Judgement


@dataclass(slots=True)
class Raw:
    """All that a file holds."""

    headers: list[Header] = field(default_factory=list)
    replies: dict[Key, Reply] = field(default_factory=dict)
    """The latest of each request: a later try takes the place of one that failed."""
    failures: int = 0
    """Tries that failed, those that were made good included."""
    idle: list[Idle] = field(default_factory=list)
    judgements: dict[Key, Judgement] = field(default_factory=dict)

    @property
    def header(self) -> Header:
        """The latest; raises JevonsError where there is none."""
        if not self.headers:
            raise JevonsError("the raw file holds no header: it is no study's")
        return self.headers[-1]

    def add(self, line: Line) -> None:
        """Take one line in."""
        match line:
            case Header():
                self.headers.append(line)
            case Idle():
                self.idle.append(line)
            case Judgement():
                self.judgements[line.key] = line
            case Reply():
                self.failures += line.outcome != OK
                self.replies[line.key] = line


def read_raw(folder: Path) -> Raw:
    """Read a study's folder; an unfinished last line is left out. Raises JevonsError where there is none."""
    path = folder / FILE_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JevonsError(f"{path}: {error.strerror}: no study was run there") from error
    raw = Raw()
    for line in _lines(content, path):
        raw.add(line)
    return raw


def _lines(content: bytes, path: Path) -> Iterator[Line]:
    decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise JevonsError(f"{path}:{number}: {error}") from error


class RawWriter:
    """Appends lines; `with` opens the file and cuts off what a killed run left unfinished."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise JevonsError(f"{self._path}: another run writes to it") from error
        content = self._path.read_bytes()
        os.ftruncate(self._descriptor, content.rfind(b"\n") + 1)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, line: Line) -> None:
        """Add one line; when this returns, it is on the disk."""
        os.write(self._descriptor, msgspec.json.encode(line) + b"\n")
        os.fsync(self._descriptor)
