"""The devices with nobody in flight: until their power holds still, and how much it is."""

from __future__ import annotations

import asyncio
from typing import Final

from ..units import Seconds, Watts
from .proxy_link import DeviceReading, ProxyLink
from .raw import Idle

WINDOW_SECONDS: Final[Seconds] = 3.0
STILL: Final = 0.02
"""Two windows whose power differs by less are taken as the same: a card that cools leaks less, over a minute or so."""


def mean_watts(first: DeviceReading, last: DeviceReading) -> Watts | None:
    """The power of all devices between two readings; None where any of them could not be read."""
    if not first.counter_joules or first.counter_joules.keys() != last.counter_joules.keys() or last.at <= first.at:
        return None
    joules = sum(last.counter_joules[device] - first.counter_joules[device] for device in first.counter_joules)
    return joules / (last.at - first.at)


def is_still(before: Watts | None, after: Watts | None) -> bool:
    """Whether the power no longer falls."""
    return before is not None and after is not None and abs(after - before) <= STILL * max(before, after, 1.0)


async def settle(link: ProxyLink, at_most_seconds: Seconds, *, window_seconds: Seconds = WINDOW_SECONDS) -> Seconds:
    """Wait until two windows show the same power, or so long; returns how long that took."""
    begin = reading = await link.devices()
    before: Watts | None = None
    while reading.at - begin.at < at_most_seconds and reading.counter_joules:
        await asyncio.sleep(min(window_seconds, at_most_seconds))
        now = await link.devices()
        watts = mean_watts(reading, now)
        reading = now
        if is_still(before, watts):
            break
        before = watts
    return reading.at - begin.at


async def watch_idle(link: ProxyLink, when: str, seconds: Seconds) -> Idle:
    """The idle power over so long."""
    first = await link.devices()
    await asyncio.sleep(seconds)
    last = await link.devices()
    return Idle(when, last.at - first.at, mean_watts(first, last))
