"""A model server for the bench whose steps are real work on the board: continuous batching over `decoder`.

`python -m jevons.proxy.bench.gpu.torch_server --shape random-8b` prints its address. Requests are taken, batched and streamed by
the simulated server's code, which only learns when a step is over; what a step does is computed. Its answers are made up.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click

from ...simulation.engine import Engine
from ...simulation.gpu import SimulatedGpu
from ...simulation.physics import LLAMA_3_1_8B
from ...simulation.scheduler import Step
from ...simulation.server import SimulatedServer
from ...units import Seconds
from .decoder import SHAPES, Decoder

SLOTS: Final = 128
CONTEXT_TOKENS: Final = 3712
"""The longest prompt of a calibration and its endless answer."""


class TorchEngine(Engine):
    """Steps that take as long as the board takes for them. `board` only lends its limits to the scheduler's own bookkeeping."""

    def __init__(self, decoder: Decoder, board: SimulatedGpu, *, slots: int) -> None:
        super().__init__(LLAMA_3_1_8B, board, max_batch=slots)
        self._decoder = decoder
        self._free = list(range(slots))
        self._slots: dict[int, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoder")

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        self._thread.shutdown()

    async def _let_pass(self, step: Step, last_end: Seconds) -> Seconds:  # noqa: ARG002 - the simulation's: here it is over when it is
        current = {sequence for sequence, _, _ in step.parts}
        for gone in self._slots.keys() - current - self._owners.keys():
            self._free.append(self._slots.pop(gone))
        for sequence in current - self._slots.keys():
            self._slots[sequence] = self._free.pop()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, step, dict(self._slots))
        return time.monotonic()

    def _compute(self, step: Step, slots: dict[int, int]) -> None:
        decoding = [(slots[sequence], context) for sequence, read, context in step.parts if not read]
        if decoding:
            self._decoder.decode([slot for slot, _ in decoding], [context for _, context in decoding])
        for sequence, read, context in step.parts:
            if read:
                self._decoder.read(slots[sequence], context, read)
        self._decoder.wait()


async def serve(shape: str, device: str, *, slots: int = SLOTS, context: int = CONTEXT_TOKENS) -> None:
    """Serve until SIGTERM; the first line of output is the address."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    decoder = Decoder(SHAPES[shape], slots=slots, context=context, device=device)
    with tempfile.TemporaryDirectory() as folder, SimulatedGpu.create(Path(folder) / "unused") as board:
        server = SimulatedServer(TorchEngine(decoder, board, slots=slots), model=shape)
        server.context_tokens = context
        async with server.running() as url:
            sys.stdout.write(f"{url}\n")
            sys.stdout.flush()
            await stop.wait()


@click.command()
@click.option("--shape", type=click.Choice(list(SHAPES)), default="random-8b")
@click.option("--device", default="cuda")
@click.option("--slots", type=int, default=SLOTS)
def main(shape: str, device: str, slots: int) -> None:
    """Serve one model of random weights."""
    asyncio.run(serve(shape, device, slots=slots))


if __name__ == "__main__":
    main()
