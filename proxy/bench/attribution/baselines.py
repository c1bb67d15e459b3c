"""What others do with the same readings: the rows that ours are held against."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from ...units import Joules, Seconds
from .trace import Kind, Served, Trace

WINDOW_SECONDS: Final[Seconds] = 1.0
"""Over which tokens share what was consumed."""


class Meter:
    """The energy of some devices over time, a line between readings; a counter that starts again goes on from where it was."""

    def __init__(self, trace: Trace, devices: Iterable[str]) -> None:
        self._lines = [_line(trace, device) for device in devices]

    def at(self, now: Seconds) -> Joules:
        """The energy up to a time."""
        return math.fsum(_interpolate(times, joules, now) for times, joules in self._lines)


def _line(trace: Trace, device: str) -> tuple[list[Seconds], list[Joules]]:
    times: list[Seconds] = []
    joules: list[Joules] = []
    last = total = 0.0
    for event in trace.events:
        sample = event.sample
        if sample is None or sample.device_id != device or sample.joules is None:
            continue
        total += max(0.0, sample.joules - last) if times else 0.0
        last = sample.joules
        times.append(sample.at)
        joules.append(total)
    return times, joules


def _interpolate(times: list[Seconds], joules: list[Joules], now: Seconds) -> Joules:
    index = bisect_right(times, now)
    if not 0 < index < len(times):
        return joules[0] if index == 0 else joules[-1]
    before, after = times[index - 1], times[index]
    return joules[index - 1] + (joules[index] - joules[index - 1]) * (now - before) / (after - before)


def start_end_delta(trace: Trace) -> dict[str, Joules]:
    """The counter at a request's end less the counter at its beginning: everybody pays for everybody."""
    charges: dict[str, Joules] = {}
    for meter, requests in _meters(trace):
        charges |= {served.name: meter.at(served.end) - meter.at(served.begin) for served in requests}
    return charges


def wall_time_share(trace: Trace) -> dict[str, Joules]:
    """At every moment those in flight share evenly."""
    charges: dict[str, Joules] = {}
    for meter, requests in _meters(trace):
        edges = sorted({served.begin for served in requests} | {served.end for served in requests})
        steps = _count_changes(requests)
        in_flight, total = 0, 0.0
        until = dict.fromkeys(edges[:1], 0.0)
        for begin, end in itertools.pairwise(edges):
            in_flight += steps[begin]
            total += (meter.at(end) - meter.at(begin)) / in_flight if in_flight else 0.0
            until[end] = total
        charges |= {served.name: until[served.end] - until[served.begin] for served in requests}
    return charges


def _count_changes(requests: list[Served]) -> dict[Seconds, int]:
    steps: dict[Seconds, int] = defaultdict(int)
    for served in requests:
        steps[served.begin] += 1
        steps[served.end] -= 1
    return steps


def output_token_share(trace: Trace) -> dict[str, Joules]:
    """In every second the output tokens share evenly."""
    return _token_share(trace, counts_prompt=False)


def all_token_share(trace: Trace) -> dict[str, Joules]:
    """In every second the tokens share evenly, a prompt's with its first output."""
    return _token_share(trace, counts_prompt=True)


def _token_share(trace: Trace, *, counts_prompt: bool) -> dict[str, Joules]:
    tokens = _arrivals(trace, counts_prompt=counts_prompt)
    charges: dict[str, Joules] = {}
    for meter, requests in _meters(trace):
        windows: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for served in requests:
            charges[served.name] = 0.0
            for at, count in tokens[served.name]:
                windows[int(at // WINDOW_SECONDS)][served.name] += count
        for index, shares in windows.items():
            joules = meter.at((index + 1) * WINDOW_SECONDS) - meter.at(index * WINDOW_SECONDS)
            total = sum(shares.values())
            for name, count in shares.items():
                charges[name] += joules * count / total
    return charges


def _arrivals(trace: Trace, *, counts_prompt: bool) -> dict[str, list[tuple[Seconds, float]]]:
    """When tokens arrived; of a reply that came whole, evenly from its beginning to its end."""
    chunks: dict[str, list[tuple[Seconds, float]]] = defaultdict(list)
    for event in trace.events:
        if event.kind is Kind.CHUNKS:
            chunks[event.name].append((event.at, event.chunks))
    for served in trace.requests.values():
        seen = chunks[served.name]
        per_chunk = served.tokens / sum(count for _, count in seen) if seen else 0.0
        arrived = [(at, count * per_chunk) for at, count in seen] or list(_spread(served))
        if counts_prompt:
            arrived.append((served.first or served.end, served.job.prompt_tokens))
        chunks[served.name] = arrived
    return chunks


def _spread(served: Served) -> Iterator[tuple[Seconds, float]]:
    parts = max(1, math.ceil((served.end - served.begin) / (WINDOW_SECONDS / 4)))
    for part in range(parts):
        yield served.begin + (part + 0.5) / parts * (served.end - served.begin), served.tokens / parts


def _meters(trace: Trace) -> Iterator[tuple[Meter, list[Served]]]:
    """Requests that share devices together, with what those devices show."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for engine in trace.engines:
        groups[engine.devices].append(engine.name)
    for devices, names in groups.items():
        requests = [served for served in trace.requests.values() if served.engine in names and not served.is_bypass]
        yield Meter(trace, devices), requests
