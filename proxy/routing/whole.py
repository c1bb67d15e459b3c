"""Labelled rows through the whole proxy in simulation: what a right answer costs when this or that decides who reasons.

The proxy is the real one, with the policies of a configuration, in front of two simulated servers of one size, each on a
simulated GPU of its own, or of one whose thinking is switched. An answer has the length that the row says and is right where
the row says so; the joules are the final ones that the proxy gives. Every way of deciding is a round of its own: who shares a
batch depends on who went where.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from ..app import Addresses, App
from ..config_file import parse_config
from ..errors import JevonsError
from ..exchange import Reasoning, Tier
from ..simulation.engine import Engine
from ..simulation.gpu import SimulatedGpu
from ..simulation.physics import QWEN_3_8B
from ..simulation.server import SimulatedServer
from ..study.proxy_link import ProxyLink
from ..units import Joules, Seconds
from .evaluation import impute
from .rows import Pair, Result

SEED: Final = 20_260_101
OURS: Final = "ours"
SPEED: Final = 4.0
"""Times that of the accelerator which the physics are of, at the same power; joules are given as at its real speed."""
WARM_UP_SECONDS: Final[Seconds] = 2.0
"""With nobody in flight, until the idle power is known."""
LONGEST_TOKENS: Final = 4096
"""Where an answer is cut: without, one of 20,000 tokens, alone in its batch at the end, costs as much as all the others."""
_FEWEST_TOKENS: Final = 1
_TWO_SERVERS: Final = {"chat": Reasoning.NEVER, "thinker": Reasoning.ALWAYS}
_ONE_SERVER: Final = {"both": Reasoning.SWITCHABLE}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setup:
    """How to run. `policies`: the `policies` and `default` of the configuration whose routing is ours."""

    policies: Mapping[str, Any] = field(repr=False)
    speed: float = SPEED
    concurrency: int = 16
    has_one_server: bool = False
    """One whose thinking is switched, so that direct and reasoning answers share its steps."""
    seed: int = SEED
    warm_up_seconds: Seconds = WARM_UP_SECONDS


@dataclass(frozen=True, slots=True)
class Answered:
    """One prompt in one round."""

    source: str
    tier: Tier
    right: float
    joules: Joules
    truth: Joules
    """What the simulation knows that it took."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The prompts that are asked, lengths imputed where they were not known."""

    pairs: tuple[Pair, ...] = field(repr=False)
    imputed: int
    """How many reasoning answers have a made-up length."""
    longest: int = LONGEST_TOKENS
    cut: int = 0
    """How many prompts have an answer that is cut to `longest`."""


def draw_sample(pairs: Sequence[Pair], per_source: int, seed: int = SEED, longest: int = LONGEST_TOKENS) -> Sample:
    """So many prompts of each source, each once, the longest reasoning first; those whose direct length is unknown are left out.

    The longest first, since a round would else end with one answer alone in its batch, which steady traffic does not.
    """
    known = {pair.prompt: pair for pair in pairs if pair.direct.tokens is not None}
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen: list[Pair] = []
    for source in dict.fromkeys(pair.source for pair in known.values()):
        there = [pair for pair in known.values() if pair.source == source]
        chosen += dice.sample(there, min(per_source, len(there)))
    if not chosen:
        raise JevonsError("no row says how long its direct answer is: there is nothing to simulate")
    asked = sorted(map(impute, chosen), key=lambda pair: -(pair.reasoning.tokens or 0))
    kept = tuple(replace(pair, direct=_cut(pair.direct, longest), reasoning=_cut(pair.reasoning, longest)) for pair in asked)
    imputed = sum(pair.reasoning.tokens is None for pair in chosen)
    return Sample(kept, imputed, longest, sum(one != other for one, other in zip(kept, asked, strict=True)))


async def run_rounds(sample: Sample, setup: Setup, say: Say) -> dict[str, list[Answered]]:
    """Every way of deciding, by its name; in each the prompts are in the same order. Raises JevonsError."""
    pairs = sample.pairs
    found = {OURS: await _round(OURS, pairs, [None] * len(pairs), setup, say)}
    calls = sum(one.tier is Tier.REASONING for one in found[OURS])
    drawn = set(random.Random(setup.seed).sample(range(len(pairs)), calls))  # noqa: S311 - likewise
    tiers: dict[str, list[Tier | None]] = {
        "always": [Tier.REASONING] * len(pairs),
        "never": [Tier.DIRECT] * len(pairs),
        "random": [Tier.REASONING if place in drawn else Tier.DIRECT for place in range(len(pairs))],
        "oracle": [Tier.REASONING if pair.gain > 0 else Tier.DIRECT for pair in pairs],
    }
    for name, wanted in tiers.items():
        found[name] = await _round(name, pairs, wanted, setup, say)
    return found


async def _round(name: str, pairs: Sequence[Pair], tiers: Sequence[Tier | None], setup: Setup, say: Say) -> list[Answered]:
    """Ask all; a tier of None leaves the decision to the policies."""
    async with _Stack(pairs, setup).running() as stack, asyncio.TaskGroup() as group:
        gate = asyncio.Semaphore(setup.concurrency)
        tasks = [group.create_task(stack.ask(pair, tier, gate)) for pair, tier in zip(pairs, tiers, strict=True)]
        say(f"{name}: {len(pairs)} prompts")
    answered = [await task for task in tasks]
    say(f"{name}: {sum(one.joules for one in answered):,.0f} J")
    return answered


class _Stack:
    """The simulated servers and the proxy in front, for one round."""

    def __init__(self, pairs: Sequence[Pair], setup: Setup) -> None:
        self._setup = setup
        self._servers = _ONE_SERVER if setup.has_one_server else _TWO_SERVERS
        self._lengths = {
            Tier.DIRECT: {pair.prompt: _tokens(pair.direct.tokens) for pair in pairs},
            Tier.REASONING: {pair.prompt: _tokens(pair.reasoning.tokens) for pair in pairs},
        }
        self._engines: dict[str, Engine] = {}
        self._link: ProxyLink | None = None
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[_Stack]:
        """Up within the block."""
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jevons-bench-")))
            sections = [await self._serve(stack, folder, name) for name in self._servers]
            listeners = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_seconds": 1}
            text = yaml.safe_dump({**listeners, **self._setup.policies, "upstreams": sections})
            addresses = await stack.enter_async_context(_running(App(parse_config(text))))
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
            self._link = ProxyLink(self._session, addresses.main, addresses.admin)
            await asyncio.sleep(self._setup.warm_up_seconds)
            yield self

    async def _serve(self, stack: AsyncExitStack, folder: Path, name: str) -> dict[str, Any]:
        gpu = stack.enter_context(SimulatedGpu.create(folder / name))
        engine = self._engines[name] = Engine(QWEN_3_8B.faster(self._setup.speed), gpu)
        # Nobody asks past the proxy here, and counters that a busy machine reads late would look as if somebody did.
        server = SimulatedServer(engine, model=name, thinks=self._servers[name], lengths=self._lengths, has_metrics=False)
        url = await stack.enter_async_context(server.running())
        return {
            "name": name,
            "url": f"{url}/v1",
            "model": name,
            "reasoning": self._servers[name].value,
            "dialect": "vllm",
            "devices": [f"simulated:{folder / name}"],
        }

    async def ask(self, pair: Pair, tier: Tier | None, gate: asyncio.Semaphore) -> Answered:
        """One prompt, and its final joules."""
        if self._session is None or self._link is None:
            raise JevonsError("nothing runs yet")
        body = {"model": "auto", "messages": [{"role": "user", "content": pair.prompt}]}
        headers = {} if tier is None else {"x-jevons-tier": tier.value}
        async with gate, self._session.post(f"{self._link.main}/v1/chat/completions", json=body, headers=headers) as reply:
            if not reply.ok:
                raise JevonsError(f"a prompt of {pair.source}: HTTP {reply.status}: {(await reply.text())[:200]}")
            await reply.read()
        record = await self._link.final_record(reply.headers["x-request-id"])
        joules, upstream = record["energy"]["joules"], record["upstream"]
        if joules is None:
            raise JevonsError(f"the energy of a prompt of {pair.source} is unknown: {', '.join(record['energy']['quality'])}")
        has_thought = bool(record["tokens"]["reasoning"])
        result = pair.reasoning if has_thought else pair.direct
        truth = self._engines[upstream].scheduler.truth[record["request_id"]]
        taken = Tier.REASONING if has_thought else Tier.DIRECT
        return Answered(pair.source, taken, result.correct, joules * self._setup.speed, truth * self._setup.speed)


@asynccontextmanager
async def _running(app: App) -> AsyncIterator[Addresses]:
    stop = asyncio.Event()
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(app.run(stop, ready.set_result))
    try:
        awaited: list[asyncio.Future[Any]] = [task, ready]
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            task.result()
        yield ready.result()
    finally:
        stop.set()
        await task


def _cut(result: Result, longest: int) -> Result:
    return result if result.tokens is None or result.tokens <= longest else replace(result, tokens=float(longest))


def _tokens(count: float | None) -> int:
    return max(_FEWEST_TOKENS, round(count or 0))
