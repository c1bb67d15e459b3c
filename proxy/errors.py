"""Everything that jevons raises on purpose.

JevonsError
├── ConfigError                what the operator wrote cannot be run (exit 2)
├── MeterError                 a device cannot be read (data, never a crash: it becomes a gap with a reason)
│   └── NothingToRead          there is no such device here at all
└── RequestError               an answer to the client, in OpenAI's shape
    ├── BadRequest             400
    │   ├── ContextTooLong     400, code `context_length_exceeded`
    │   └── Unsupported        400, code `unsupported_value`: no upstream can do what is asked
    ├── Unauthorized           401
    ├── TierNotAllowed         403   the key is not for what was asked
    ├── CloudNotAllowed        403   likewise
    ├── NotFound               404
    │   └── ModelNotFound      404, param `model`
    ├── MethodNotAllowed       405
    ├── RequestTimedOut        408   the client's body did not arrive in time
    ├── BodyTooLarge           413
    ├── UnsupportedEncoding    415
    ├── RateLimited            429   with `retry-after`
    ├── BudgetSpent            429   with `retry-after`
    ├── LoopDetected           508
    └── UpstreamError          502   the model server broke its word
        ├── UpstreamUnavailable    503   it cannot be reached
        ├── UpstreamTimedOut       504   it did not answer in time
        ├── UpstreamRefused        its   it answered with an error, and nobody else could be asked
        └── UpstreamBusy           429   too many wait for it already, with `retry-after`
            └── WaitedInVain       503   no place came free in time, with `retry-after`
"""

from __future__ import annotations

import json
from typing import Self


class JevonsError(Exception):
    """The root: catch this to catch all that jevons raises on purpose."""


class ConfigError(JevonsError):
    """The configuration cannot be run; `problems` holds one `file:line:column: path: message` each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class MeterError(JevonsError):
    """A device, or a whole driver, cannot be read; the message is the reason that users see."""


class NothingToRead(MeterError):
    """There is no driver and no device of the kind: not one that is down, but none."""


class RequestError(JevonsError):
    """An error the client receives: HTTP `status` and OpenAI's `{"error": {message, type, param, code}}`."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers = headers or {}

    def as_json(self) -> dict[str, object]:
        """The body that OpenAI clients turn into their own exceptions."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        """The same, encoded."""
        return json.dumps(self.as_json()).encode()


class BadRequest(RequestError):
    """The request cannot be understood."""

    status = 400
    type = "invalid_request_error"


class ContextTooLong(BadRequest):
    """The prompt fits the context of no upstream that the request may go to."""

    code = "context_length_exceeded"


class Unsupported(BadRequest):
    """No upstream that the request may go to can do what it asks."""

    code = "unsupported_value"


class Unauthorized(RequestError):
    """No key, or one that nobody knows."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"


class TierNotAllowed(RequestError):
    """The key is not for reasoning, and what was asked cannot be had without."""

    status = 403
    type = "permission_error"
    code = "tier_not_allowed"


class CloudNotAllowed(RequestError):
    """The key forbids upstreams beyond this network, and one was asked for by name."""

    status = 403
    type = "permission_error"
    code = "cloud_not_allowed"


class NotFound(RequestError):
    """No such path, or no such record for this tenant."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class ModelNotFound(NotFound):
    """The `model` is neither `auto` nor an upstream's name or model."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model {model!r} does not exist: ask GET /v1/models for those that do.", param="model")


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimedOut(RequestError):
    """The client's body did not arrive in time."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class BodyTooLarge(RequestError):
    """The body exceeds the limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedEncoding(RequestError):
    """A compressed body: refused, since its size cannot be known before it is unpacked."""

    status = 415
    type = "invalid_request_error"
    code = "unsupported_content_encoding"


class RateLimited(RequestError):
    """A key asks more often than it may."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class BudgetSpent(RequestError):
    """A budget of energy has not enough left for the request."""

    status = 429
    type = "insufficient_quota"
    code = "energy_budget_spent"


class LoopDetected(RequestError):
    """The request has been through a jevons already."""

    status = 508
    code = "loop_detected"


class UpstreamError(RequestError):
    """The model server sent something that is no answer, or stopped in the middle of one."""

    status = 502
    type = "upstream_error"
    code = "upstream_error"


class UpstreamUnavailable(UpstreamError):
    """The model server cannot be reached."""

    status = 503
    code = "upstream_unavailable"


class UpstreamTimedOut(UpstreamError):
    """The model server did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamRefused(UpstreamError):
    """The model server answered with an error that another server might not have given."""

    def with_status(self, status: int) -> Self:
        """The same with the server's own status."""
        self.status = status
        return self


class UpstreamBusy(UpstreamError):
    """The model server has as many requests as it may, and as many wait as may."""

    status = 429
    type = "rate_limit_error"
    code = "upstream_busy"


class WaitedInVain(UpstreamBusy):
    """The request has waited for a place as long as it may."""

    status = 503
