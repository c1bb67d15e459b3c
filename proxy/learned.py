"""The energy models that a running proxy has learned, read off its own `/metrics`."""

from __future__ import annotations

from dataclasses import fields
from http import HTTPStatus
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from .exchange import Coefficients
from .units import Seconds

TIMEOUT_SECONDS: Final[Seconds] = 2.0
METRIC: Final = "jevons_coefficient"
MOST_BYTES: Final = 8 * 1024 * 1024
_TERMS: Final = frozenset(each.name for each in fields(Coefficients))


async def ask_learned(session: aiohttp.ClientSession, admin_url: str, token: str | None) -> dict[str, Coefficients] | None:
    """By upstream, what the proxy at this admin address uses now; None where none answers there, or it does not let us in."""
    headers = {"accept": "text/plain", **({"authorization": f"Bearer {token}"} if token is not None else {})}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with session.get(f"{admin_url}/metrics", headers=headers, timeout=timeout, allow_redirects=False) as reply:
            page = await reply.content.read(MOST_BYTES)
            return read_coefficients(page.decode()) if reply.status == HTTPStatus.OK else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


def read_coefficients(page: str) -> dict[str, Coefficients]:
    """By upstream, the coefficients on a page of metrics that has all four. Raises ValueError for what is no such page."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(page):
        if family.name == METRIC:
            for sample in family.samples:
                found.setdefault(sample.labels.get("upstream", ""), {})[sample.labels.get("term", "")] = sample.value
    return {upstream: Coefficients(**terms) for upstream, terms in found.items() if terms.keys() == _TERMS}
