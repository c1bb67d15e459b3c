"""What litellm raises, in the words and the statuses of this proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import RequestError, UpstreamError, UpstreamTimedOut, UpstreamUnavailable
from ..exchange import Upstream

_PASSED_ON: Final = frozenset({400, 404, 413, 422, 429})
_TOO_MANY: Final = 429
_NOT_REACHED: Final = frozenset({"ConnectError", "ConnectTimeout", "ClientConnectorError", "ClientConnectorDNSError"})
_TIMED_OUT: Final = frozenset({"Timeout", "ReadTimeout"})
_CODES: Final = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
    "RateLimitError": "rate_limit_exceeded",
}
_LONGEST_MESSAGE: Final = 500


class ProviderRefused(RequestError):
    """The provider says that something in the request is wrong, or that there are too many: told as it is."""

    type = "invalid_request_error"


def translate(error: BaseException, upstream: Upstream) -> RequestError:
    """The error for the client. Of the credentials and the address, which are the operator's, it says nothing."""
    name = upstream.name
    if isinstance(error, RequestError):
        return error
    kinds = _kinds(error)
    if kinds & _NOT_REACHED:
        return UpstreamUnavailable(f"Upstream {name!r} cannot be reached.")
    if kinds & _TIMED_OUT:
        return UpstreamTimedOut(f"Upstream {name!r} did not answer in time.")
    status = getattr(error, "status_code", None)
    if status in _PASSED_ON:
        refused = ProviderRefused(_message(error, upstream), headers=_retry_after(error))
        refused.status = status
        refused.code = next((code for kind, code in _CODES.items() if kind in kinds), None)
        if status == _TOO_MANY:
            refused.type = "rate_limit_error"
        return refused
    if status in {401, 403}:
        return UpstreamError(f"Upstream {name!r} does not accept the key of the configuration.")
    told = f"answered {status}" if isinstance(status, int) else f"failed: {type(error).__name__}"
    return UpstreamError(f"Upstream {name!r} {told}.")


def _kinds(error: BaseException) -> set[str]:
    """The names of its class, and of those that it came from."""
    names: set[str] = set()
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        names.add(type(current).__name__)
        current = current.__cause__ or current.__context__
    return names


def _message(error: BaseException, upstream: Upstream) -> str:
    text = str(getattr(error, "message", error))[:_LONGEST_MESSAGE]
    for secret in (upstream.api_key, upstream.base_url):
        if secret:
            text = text.replace(secret, "…")
    return text


def _retry_after(error: BaseException) -> dict[str, str]:
    headers = getattr(error, "litellm_response_headers", None)
    said = headers.get("retry-after", "") if isinstance(headers, Mapping) else ""
    return {"retry-after": said} if said.isascii() and said.isdigit() else {}
