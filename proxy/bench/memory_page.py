"""The figures of memory for people, as Markdown."""

from __future__ import annotations

from typing import Final

from .memory import Checkpoint, Memory
from .trend import Trend

MOST_ROWS: Final = 14
_MIB: Final = 2.0**20


def page(memory: Memory, command: str) -> str:
    """One page. The model server costs nothing and says nothing of worth; the proxy, its meter and its memory are real."""
    done = memory.checkpoints[-1]
    lines = [
        "# Memory",
        "",
        f"- {memory.started_at:%Y-%m-%d %H:%M} UTC, `{command}`",
        f"- {memory.machine.cores} cores, {memory.machine.cpu}; Python {memory.machine.python}; the machine was shared",
        "- A metered jevons with a rules policy on one core, load and mock model server on another; the GPU is **simulated**.",
        (
            f"- {done.requests:,} requests in {done.seconds:.0f} s: {memory.whole:,} JSON replies, {memory.streamed:,} streams "
            f"read to their end, {memory.left:,} streams that the client left after two events; {memory.bad} bad."
        ),
        "- Memory is the resident set size of the proxy, under load.",
        "",
        (
            f"Over the second half: {told(memory.bytes_per_request, 1e6, 'MiB per million requests')}; "
            f"{told(memory.bytes_per_hour, 1.0, 'MiB an hour')}. By least squares, with the 95 % interval."
        ),
        "",
        (
            f"**{memory.streams} idle streams**, each with its first event and then silent: "
            f"{memory.before / _MIB:.1f} -> {memory.open / _MIB:.1f} MiB, **{memory.bytes_per_stream / 1000:.1f} kB each**."
        ),
        "",
        "| requests | seconds | memory (MiB) |",
        "| ---: | ---: | ---: |",
        *(f"| {each.requests:,} | {each.seconds:.0f} | {each.size / _MIB:.1f} |" for each in _some(memory.checkpoints)),
        "",
        "The first tens of thousands of requests fill what is bounded: the latest 10,000 records, the interpreter's pools.",
        "",
    ]
    return "\n".join(lines)


def told(trend: Trend | None, factor: float, unit: str) -> str:
    """A trend in bytes, in MiB per so many of its unit."""
    if trend is None:
        return "too few looks for a slope"
    shown = trend.times(factor / _MIB)
    return f"{shown.slope:+.2f} {unit} ({shown.low:+.2f} to {shown.high:+.2f})"


def _some(checkpoints: tuple[Checkpoint, ...]) -> list[Checkpoint]:
    """Not more than fit a table, evenly, the first and the last among them."""
    last = len(checkpoints) - 1
    steps = min(last, MOST_ROWS - 1) or 1
    return [checkpoints[round(last * place / steps)] for place in range(steps + 1)] if last else list(checkpoints)
