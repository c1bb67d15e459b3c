"""Header names: the same few come with every request, in one of two spellings, so that they are looked up and not made."""

from __future__ import annotations

from typing import Final

_COMMON: Final = """\
accept accept-encoding accept-language anthropic-beta anthropic-version authorization cache-control connection content-encoding
content-length content-type cookie date expect host http-referer keep-alive openai-beta openai-organization openai-processing-ms
openai-project origin priority referer retry-after sec-fetch-dest sec-fetch-mode sec-fetch-site server set-cookie traceparent
tracestate trailer transfer-encoding upgrade user-agent vary via x-api-key x-forwarded-for x-forwarded-host x-forwarded-proto
x-jevons-energy x-jevons-session x-jevons-tier x-real-ip x-request-id x-should-retry x-stainless-arch x-stainless-async
x-stainless-lang x-stainless-os x-stainless-package-version x-stainless-read-timeout x-stainless-retry-count x-stainless-runtime
x-stainless-runtime-version x-stainless-timeout x-title"""
"""What clients and model servers send; a name that is not here costs a little more, and that is all."""

KNOWN_NAMES: Final = {spelling: name for name in _COMMON.split() for spelling in (name.encode(), name.title().encode())}
"""By the bytes of their usual spellings."""


def header_name(raw: bytes) -> str:
    """The name in lower case."""
    return KNOWN_NAMES.get(raw) or raw.decode("latin-1").lower()
