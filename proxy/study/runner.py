"""Runs a study: warm-up, settling, idle, the requests in their order, idle again; each result on the disk once it is final."""

from __future__ import annotations

import asyncio
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import cycle
from pathlib import Path
from typing import Final

from ..errors import ConfigError, JevonsError
from .asking import ask, make_question, settled
from .judge import judge_answers
from .order import Block, blocks, remaining
from .prompts import StudyPrompt, load_prompts, prompts_hash
from .proxy_link import ProxyLink
from .quiet import settle, watch_idle
from .raw import FILE_NAME, OK, Header, Key, Raw, RawWriter, Reply, read_raw
from .study_file import Study

PASSES: Final = 3
"""How often a request is tried in all."""
MOST_FAILURES_IN_A_ROW: Final = 10
_FILLER: Final = -1
"""The repetition of requests that only keep a batch full."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Who is told how far it is; both may be nothing."""

    stage: Callable[[str], None] = lambda _: None
    advance: Callable[[int, int], None] = lambda _done, _total: None


@dataclass(slots=True)
class Runner:
    """One run of one study into one folder."""

    study: Study
    folder: Path
    progress: Progress = field(default_factory=Progress)
    _prompts: dict[str, StudyPrompt] = field(default_factory=dict, init=False)
    _planned: list[Block] = field(default_factory=list, init=False)
    _raw: Raw = field(default_factory=Raw, init=False)
    _failures_in_a_row: int = field(default=0, init=False)
    _last_failure: str = field(default="", init=False)

    def prepare(self, *, resumes: bool) -> int:
        """Read the prompts and what was done before; returns how many requests are left.

        Raises ConfigError for a study that does not fit the folder, JevonsError where the folder holds one and is not to be
        resumed.
        """
        section = self.study.section
        prompts = load_prompts(section.prompts, self.study.folder)
        if section.categories is not None:
            unknown = set(section.categories) - {prompt.category for prompt in prompts}
            if unknown:
                raise ConfigError([f"categories: no prompt is of {', '.join(sorted(unknown))}"])
            prompts = [prompt for prompt in prompts if prompt.category in section.categories]
        if section.limit is not None and section.limit < len(prompts):
            prompts = [prompts[place * len(prompts) // section.limit] for place in range(section.limit)]
        self._prompts = {prompt.id: prompt for prompt in prompts}
        self._planned = blocks(
            [arm.name for arm in section.arms],
            list(self._prompts),
            repetitions=section.repetitions,
            levels=section.concurrency,
            seed=section.seed,
        )
        if (self.folder / FILE_NAME).exists():
            if not resumes:
                raise JevonsError(f"{self.folder} holds a study already: go on with --resume, or give another --out")
            self._raw = read_raw(self.folder)
            self._refuse_another()
        return self.missing

    async def run(self, link: ProxyLink) -> Raw:
        """Ask whatever is left. Raises JevonsError where too many requests in a row fail; what was measured stays."""
        section = self.study.section
        with RawWriter(self.folder) as writer:
            if self._left():
                await self._note(writer, link)
                await self._warm_up(link)
                await self._watch(writer, link, "before")
                for _ in range(PASSES):
                    for block in self._left():
                        await self._ask_block(writer, link, block)
                await self._watch(writer, link, "after")
            if section.judge is not None:
                self.progress.stage("judging")
                async for judgement in judge_answers(link, section.judge, self._prompts, self._raw):
                    self._raw.add(judgement)
                    writer.write(judgement)
        return self._raw

    @property
    def total(self) -> int:
        """How many requests the study has."""
        return sum(len(block.keys) for block in self._planned)

    @property
    def missing(self) -> int:
        """How many of them have not ended well."""
        return sum(len(block.keys) for block in self._left())

    def _left(self) -> list[Block]:
        return remaining(self._planned, frozenset(key for key, reply in self._raw.replies.items() if reply.outcome == OK))

    def _refuse_another(self) -> None:
        if self._raw.headers and self._raw.header.fingerprint != self._fingerprint:
            problem = "another study, other prompts, or the same with other settings: its two halves could not be compared"
            raise ConfigError([f"{self.folder}: {problem}"])

    @property
    def _fingerprint(self) -> str:
        return self.study.fingerprint(prompts_hash(list(self._prompts.values())))

    async def _note(self, writer: RawWriter, link: ProxyLink) -> None:
        reading, health = await link.devices(), await link.health()
        names = list(reading.names)
        method = None if not names else "simulated" if any(name.endswith("(simulated)") for name in names) else "measured"
        header = Header(
            fingerprint=self._fingerprint,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            name=self.study.section.name,
            method=method,
            study=self.study.public(),
            prompts_hash=prompts_hash(list(self._prompts.values())),
            versions={
                "jevons": version("jevons"),
                "proxy": str(health.get("version")),
                "proxy configuration": str((health.get("config") or {}).get("hash")),
                "python": platform.python_version(),
                "system": f"{platform.system()} {platform.release()}",
                **driver_versions(),
            },
            devices=names,
            upstreams=await link.models(),
        )
        self._raw.add(header)
        writer.write(header)

    async def _warm_up(self, link: ProxyLink) -> None:
        section = self.study.section
        self.progress.stage("warming up")
        keys = self._fillers([arm.name for arm in section.arms], section.concurrency[0])
        for _ in range(section.warmup_requests * len(section.arms)):
            _, told = await ask(link, make_question(section, self._prompts, next(keys)), section.request_seconds)
            if isinstance(told, Exception):
                raise JevonsError(f"a request of the warm-up failed: {told}")

    async def _watch(self, writer: RawWriter, link: ProxyLink, when: str) -> None:
        section = self.study.section
        self.progress.stage("settling")
        await settle(link, section.settle_seconds)
        self.progress.stage(f"idle {when}")
        idle = await watch_idle(link, when, section.idle_seconds)
        self._raw.add(idle)
        writer.write(idle)

    def _fillers(self, arms: list[str], level: int) -> Iterator[Key]:
        """Requests without end that are not counted."""
        return ((arm, prompt, _FILLER, level) for prompt in cycle(self._prompts) for arm in arms)

    async def _ask_block(self, writer: RawWriter, link: ProxyLink, block: Block) -> None:
        """Hold so many in flight until all of the block have ended; whoever has nothing left to ask keeps the batch full."""
        arms = sorted({key[0] for key in block.keys})
        self.progress.stage(f"{', '.join(arms) if len(arms) == 1 else 'all arms'} at {block.level}")
        queue, settling = deque(block.keys), set[asyncio.Task[None]]()
        fillers = self._fillers(arms, block.level) if block.level > 1 else iter(())
        unfinished = asyncio.Semaphore(0)

        async def work() -> None:
            while queue:
                await self._ask_one(writer, link, queue.popleft(), settling)
                unfinished.release()
            for key in fillers:
                await ask(link, make_question(self.study.section, self._prompts, key), self.study.section.request_seconds)

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work()) for _ in range(block.level)]
            for _ in block.keys:
                await unfinished.acquire()
            for worker in workers:
                worker.cancel()
        if settling:
            await asyncio.gather(*settling)
        if self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            raise JevonsError(
                f"{self._failures_in_a_row} requests in a row failed, the last with: {self._last_failure}. What was measured "
                f"is kept; "
                "--resume goes on from there"
            )

    async def _ask_one(self, writer: RawWriter, link: ProxyLink, key: Key, settling: set[asyncio.Task[None]]) -> None:
        """Ask, and let the energy become final in the background: that is the proxy's work, not the devices'."""
        section = self.study.section
        if self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW:
            return
        question = make_question(section, self._prompts, key)
        began, told = await ask(link, question, section.request_seconds)
        keeps = section.keep_answers or section.judge is not None

        async def note() -> None:
            reply = await settled(link, question, began, told, keeps_answer=keeps)
            self._take(writer, reply)

        settling.add(asyncio.create_task(note()))
        if key[3] == 1:
            await asyncio.sleep(section.pause_seconds)

    def _take(self, writer: RawWriter, reply: Reply) -> None:
        self._raw.add(reply)
        writer.write(reply)
        if reply.outcome == OK:
            self._failures_in_a_row = 0
            self.progress.advance(self.total - self.missing, self.total)
        else:
            self._failures_in_a_row += 1
            self._last_failure = reply.outcome


def driver_versions() -> dict[str, str]:
    """The NVIDIA driver of this machine, where there is one; a proxy elsewhere has another."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {"driver of this machine": text.partition("\n")[0].removeprefix("NVRM version:").strip()}


def stamp() -> str:
    """For the name of a folder: the time in UTC."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime())
