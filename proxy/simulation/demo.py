"""`jevons demo`: about forty questions through the real proxy with the real `openai` client, on a simulated GPU.

Two rounds. In the first the proxy routes; in the second the questions that it sent to the direct model go to the reasoning
model all the same, so that the saving is the difference of two runs and not a guess.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import JevonsError
from ..units import Joules, Seconds
from .demo_report import Answer, Report, print_report, read_accounts
from .demo_stack import DemoStack
from .workload import Question, load_questions

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

CONCURRENCY: Final = 8
FINAL_SECONDS: Final[Seconds] = 15.0
WIDTH: Final = 130


@dataclass(frozen=True, slots=True)
class Demo:
    """The whole run. `stays_up` leaves everything running after the table, until Ctrl-C; `questions` are all, where not given."""

    stays_up: bool
    as_json: bool
    questions: Sequence[Question] | None = None

    async def run(self) -> int:
        """Run it; returns the exit code. Raises JevonsError where something that it needs is missing or ends too soon."""
        _require_client()
        _end_on_sigterm()
        console = Console(stderr=self.as_json, highlight=False)
        if not console.is_terminal:
            console.width = WIDTH  # a pipe has no width of its own, and the table needs this much
        console.print(
            "Starting a simulated GPU, two simulated model servers and the proxy. Every figure below is [bold]simulated[/]."
        )
        async with DemoStack() as stack:
            with _progress(console) as progress:
                report = await _measure(stack, progress, load_questions() if self.questions is None else self.questions)
            print_report(report, console, as_json=self.as_json)
            if self.stays_up:
                await _stay(stack, console)
        return 0 if report.is_sound else 1


def _require_client() -> None:
    if find_spec("openai") is None:
        raise JevonsError("the demo asks through the `openai` client, which is not installed: pip install openai")


def _end_on_sigterm() -> None:
    """As on Ctrl-C: the other three are stopped, and their folder goes with them."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _measure(stack: DemoStack, progress: Progress, questions: Sequence[Question]) -> Report:
    from openai import APIError, AsyncOpenAI  # noqa: PLC0415 - two seconds to import, which only the demo needs to spend

    try:
        async with (
            AsyncOpenAI(base_url=f"{stack.main}/v1", api_key="not-needed", max_retries=0) as client,
            aiohttp.ClientSession() as web,
        ):
            return await _ask_twice(Asker(client, web, stack), progress, questions)
    except (APIError, aiohttp.ClientError) as error:
        raise JevonsError(f"a request of the demo failed: {str(error) or type(error).__name__}") from error


async def _ask_twice(asker: Asker, progress: Progress, questions: Sequence[Question]) -> Report:
    task = progress.add_task("routed", total=len(questions))
    routed = await asker.ask_all(questions, "auto", lambda: progress.advance(task))
    direct = [answer.question for answer in routed if answer.upstream == "direct-8b"]
    task = progress.add_task("the same to reasoning", total=len(direct))
    reasoned = await asker.ask_all(direct, "reasoner-8b", lambda: progress.advance(task))
    stack = asker.stack
    accounts, device_joules, device = await read_accounts(asker.web, stack.admin)
    return Report(routed, reasoned, accounts, device_joules, device, main=stack.main, admin=stack.admin)


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends questions and collects what came of them."""

    client: AsyncOpenAI
    web: aiohttp.ClientSession
    stack: DemoStack

    async def ask_all(self, questions: Sequence[Question], model: str, on_answer: Callable[[], None]) -> list[Answer]:
        """Ask all of them, eight at a time, every other one streamed; in their order."""
        gate = asyncio.Semaphore(CONCURRENCY)

        async def ask(place: int, question: Question) -> Answer:
            async with gate:
                answer = await self._ask(question, model, streamed=place % 2 == 0)
            on_answer()
            return answer

        tasks = [asyncio.create_task(ask(place, question)) for place, question in enumerate(questions)]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, question: Question, model: str, *, streamed: bool) -> Answer:
        request_id, first = await (self._stream(question, model) if streamed else self._complete(question, model))
        record = await self._final(request_id)
        truth = await self._truth(record["upstream"], request_id)
        return Answer(question=question, streamed=streamed, first_token_seconds=first, truth_joules=truth, record=record)

    async def _complete(self, question: Question, model: str) -> tuple[str, None]:
        raw = await self.client.chat.completions.with_raw_response.create(model=model, messages=_turn(question))
        return raw.headers["x-request-id"], None

    async def _stream(self, question: Question, model: str) -> tuple[str, Seconds | None]:
        began = time.monotonic()
        first: Seconds | None = None
        raw = await self.client.chat.completions.with_raw_response.create(
            model=model, messages=_turn(question), stream=True, stream_options={"include_usage": True}
        )
        async for chunk in raw.parse():
            if first is None and any(
                choice.delta.model_dump(exclude_defaults=True).keys() - {"role"} for choice in chunk.choices
            ):
                first = time.monotonic() - began
        return raw.headers["x-request-id"], first

    async def _final(self, request_id: str) -> dict[str, Any]:
        """The request's record, once its energy is final."""
        deadline = time.monotonic() + FINAL_SECONDS
        while time.monotonic() < deadline:
            async with self.web.get(f"{self.stack.main}/v1/energy/{request_id}") as reply:
                record: dict[str, Any] = await reply.json()
            if record["energy"]["status"] == "final":
                if record["energy"]["joules"] is None:
                    raise JevonsError(f"the energy of {request_id} is unknown: {', '.join(record['energy']['quality'])}")
                return record
            await asyncio.sleep(0.1)
        raise JevonsError(f"the energy of {request_id} did not become final in {FINAL_SECONDS:g} s")

    async def _truth(self, upstream: str, request_id: str) -> Joules:
        """What the simulated server knows that the request consumed."""
        async with self.web.get(f"{self.stack.servers[upstream]}/simulation/truth/{request_id}") as reply:
            reply.raise_for_status()
            return float((await reply.json())["joules"])


def _turn(question: Question) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": question.text}]


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description:>22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)


async def _stay(stack: DemoStack, console: Console) -> None:
    console.print(f"\nStill up: point any OpenAI client at [bold]{stack.main}/v1[/], look at the page at [bold]{stack.admin}[/],")
    console.print(f"and at the configuration in {stack.config_path}. Ctrl-C ends it.")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        console.print("\nStopping.")
