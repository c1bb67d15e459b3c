"""The whole benchmark: find a board, calibrate, put the proxy in front, run the checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import aiohttp

from ...calibration.calibrate import Calibration, Options, calibrate
from ...calibration.readings import Readings, meters_of
from ...calibration.streams import ChatClient
from ...errors import JevonsError, MeterError
from ...exchange import Upstream
from ...metering.carbon import Carbon
from ...metering.metering import Metering
from ...upstreams.detection import detect_dialect
from ..machine import Machine, describe_machine
from .checks import CHECKS
from .outcome import Check, Outcome, Scale
from .stack import SIMULATED_BATCH, Stack
from .world import World

NAMES: Final = tuple(check.__name__ for check in CHECKS)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run, and on what: a server that runs, one to be started, or a simulated one."""

    upstream: Upstream | None = None
    """None: a server is started, of the shape given or simulated."""
    shape: str | None = None
    """Of a model of random weights, which is made on the spot."""
    program: str = "torch"
    """What computes it: plain `torch`, or `transformers`, its `serve`."""
    simulated_batch: int = SIMULATED_BATCH
    scale: Scale = field(default_factory=Scale)
    calibration: Options = field(default_factory=Options)
    only: tuple[str, ...] = ()

    @property
    def checks(self) -> list[Check]:
        """Those wanted, in their order."""
        return [check for check in CHECKS if not self.only or check.__name__ in self.only]


@dataclass(slots=True)
class Run:
    """What was found."""

    machine: Machine
    started_at: datetime
    calibration: Calibration
    outcomes: list[Outcome] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Checks that came to no figure, and why."""

    @property
    def is_passed(self) -> bool:
        """Whether all that was run holds."""
        return not self.failed and all(outcome.is_passed for outcome in self.outcomes)


async def find_problem(devices: Sequence[str]) -> str | None:
    """Why no device can be read here; None where one can."""
    upstream = Upstream("bench", "http://127.0.0.1:9/v1", "none", devices=tuple(devices))
    async with Metering(meters_of(upstream), [upstream], carbon=Carbon()) as metering:
        try:
            Readings(metering, upstream)
        except MeterError as error:
            return str(error)
    return None


async def run_bench(plan: Plan, say: Callable[[str], None]) -> Run:
    """Run all of it. Raises JevonsError where the calibration or the proxy fails; a check that fails is a reason in the run."""
    machine, started_at = describe_machine(), datetime.now(UTC)
    async with AsyncExitStack() as stack:
        programs = await stack.enter_async_context(Stack())
        upstream = await _serve(plan, programs, say)
        calibration = await calibrate(upstream, plan.calibration, say)
        upstream = replace(upstream, coefficients=calibration.fitted.coefficients, doubts=calibration.fitted.doubts)
        main, admin = await programs.proxy(upstream)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        metering = await stack.enter_async_context(Metering(meters_of(upstream), [upstream], carbon=Carbon()))
        dialect = await detect_dialect(session, upstream.base_url, api_key=upstream.api_key)
        world = World(
            session,
            ChatClient(session, upstream, dialect),
            ChatClient(session, replace(upstream, base_url=f"{main}/v1", model=upstream.name, api_key=None), dialect),
            admin,
            Readings(metering, upstream),
            calibration,
        )
        run = Run(machine, started_at, calibration)
        async with world.balancing():
            for check in plan.checks:
                await _check(check, world, plan.scale, run, say)
        return run


async def _serve(plan: Plan, programs: Stack, say: Callable[[str], None]) -> Upstream:
    if plan.upstream is not None:
        return plan.upstream
    if plan.shape is None:
        return await programs.simulated(max_batch=plan.simulated_batch)
    say(f"making {plan.shape}, a model of random weights, and starting {plan.program} with it")
    return await (programs.transformers if plan.program == "transformers" else programs.torch)(plan.shape)


async def _check(check: Check, world: World, scale: Scale, run: Run, say: Callable[[str], None]) -> None:
    say(f"check {check.__name__}")
    try:
        outcome = await check(world, scale)
    except JevonsError as error:
        run.failed[check.__name__] = str(error)
        say(f"  no figure: {error}")
        return
    run.outcomes.append(outcome)
    say(f"  {'holds' if outcome.is_passed else 'DOES NOT HOLD'}: {outcome.value:.3g}, limit {outcome.limit:g}; {outcome.detail}")
