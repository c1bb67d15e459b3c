"""The engine in real time: it lets the scheduler's steps pass on the simulated GPU and hands out their tokens."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Self

from ..units import Seconds
from .gpu import SimulatedGpu
from .physics import Physics
from .scheduler import Scheduler, Step, Work

CATCH_UP_SECONDS: Final = 0.025
"""An event loop wakes late by a millisecond or two. Steps then follow each other on the GPU as if it had not, so that lateness
does not add up; this stays below the counter's lag, hence no meter has read a time that is still being written."""


class Ticket:
    """One request in the engine: iterate it for the index of each sequence that has one more token; leave it to cancel."""

    def __init__(self, request_id: str, engine: Engine, sequence_ids: Sequence[int]) -> None:
        self.request_id = request_id
        self.sequence_ids = sequence_ids
        self._engine = engine
        self._unfinished = len(sequence_ids)
        self._tokens: asyncio.Queue[int | BaseException | None] = asyncio.Queue()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        index = await self._tokens.get()
        if index is None:
            raise StopAsyncIteration
        if isinstance(index, BaseException):
            raise index
        return index

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.release(self)

    def push(self, index: int) -> None:
        """The engine has one more token for that sequence."""
        self._tokens.put_nowait(index)

    def finish_one(self) -> None:
        """The engine is done with one of the sequences."""
        self._unfinished -= 1
        if not self._unfinished:
            self._tokens.put_nowait(None)

    def fail(self, error: BaseException) -> None:
        """The engine has stopped, and this is why."""
        self._tokens.put_nowait(error)


class Engine:
    """One model loaded on a simulated GPU; `async with` runs it. `scheduler` is open to look at, its `truth` above all."""

    def __init__(
        self,
        physics: Physics,
        gpu: SimulatedGpu,
        *,
        max_batch: int = 64,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.scheduler = Scheduler(physics, gpu.idle_watts, gpu.limit_watts, max_batch=max_batch)
        self.cancelled: deque[str] = deque(maxlen=4096)
        """The ids of requests that were left before their end, latest last."""
        self.stalled_seconds: Seconds = 0.0
        """How long the loop was too late to catch up while there was work: the GPU idled through it."""
        self._gpu = gpu
        self._clock = clock
        self._owners: dict[int, tuple[Ticket, int]] = {}
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="simulated engine")
        self._task.add_done_callback(self._fail_all)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        self._task.cancel()
        done, _pending = await asyncio.wait([self._task])
        self._task = None
        for task in done:
            if not task.cancelled():
                task.result()  # a bug in the loop is not to be lost

    def submit(self, request_id: str, works: Sequence[Work], *, is_held: bool = False) -> Ticket:
        """Queue a request of one or more sequences; `is_held` leaves it in the queue for ever, as a server that hangs does."""
        sequence_ids = [self.scheduler.submit(request_id, work, is_held=is_held) for work in works]
        ticket = Ticket(request_id, self, sequence_ids)
        self._owners.update({sequence_id: (ticket, index) for index, sequence_id in enumerate(sequence_ids)})
        self._has_work.set()
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Cancel what is left of a request, at once: the step in progress ends without it."""
        left = [sequence_id for sequence_id in ticket.sequence_ids if sequence_id in self._owners]
        for sequence_id in left:
            del self._owners[sequence_id]
            self.scheduler.cancel(sequence_id)
        if left:
            self.cancelled.append(ticket.request_id)

    async def _run(self) -> None:
        end = self._clock()
        while True:
            step = self.scheduler.step()
            if step is None:
                self._has_work.clear()
                await self._has_work.wait()
                end = self._clock()
                continue
            end = await self._let_pass(step, end)
            self._deliver(step)

    async def _let_pass(self, step: Step, last_end: Seconds) -> Seconds:
        """The step's time on the board; returns when it ended."""
        start = self._gpu.reserve(self._next_start(last_end), seconds=step.seconds, joules=step.joules)
        end = start + step.seconds
        await asyncio.sleep(max(0.0, end - self._clock()))
        return end

    def _fail_all(self, task: asyncio.Task[None]) -> None:
        """Tell everyone who waits for a token that none will come; a loop that was cancelled has nobody left."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            for ticket in {ticket for ticket, _ in self._owners.values()}:
                ticket.fail(error)

    def _next_start(self, end: Seconds) -> Seconds:
        now = self._clock()
        if now - end <= CATCH_UP_SECONDS:
            return end
        self.stalled_seconds += now - end
        return now

    def _deliver(self, step: Step) -> None:
        for sequence_id in step.emitted:
            if sequence_id in self._owners:
                ticket, index = self._owners[sequence_id]
                ticket.push(index)
        for sequence_id in step.finished:
            if sequence_id in self._owners:
                ticket, _ = self._owners.pop(sequence_id)
                ticket.finish_one()
