"""What every request meets first: a request id, loop detection, who is asking; and last: errors in OpenAI's shape."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from ..errors import LoopDetected, MethodNotAllowed, NotFound, RequestError, Unauthorized

REQUEST_ID: Final = web.RequestKey("request_id", str)
TENANT: Final = web.RequestKey("tenant", str)
ANONYMOUS: Final = "default"

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("jevons.server")


class Keyring(Protocol):
    """Whoever knows which key belongs to whom."""

    def tenant_of(self, bearer: str) -> str | None:
        """The tenant of a key; None for one that nobody knows."""
        ...


def new_request_id() -> str:
    """An id that nobody else has."""
    return f"req_{os.urandom(16).hex()}"


def answer(error: RequestError, request_id: str) -> web.Response:
    """An error as OpenAI clients expect it."""
    headers = {"content-type": "application/json", "x-request-id": request_id, **error.headers}
    return web.Response(status=error.status, headers=headers, body=error.body())


def edge(keys: Keyring | None, version: str) -> Middleware:
    """The middleware of the main listener. Without `keys` everybody is the same tenant."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = new_request_id()
        response = await _respond(request, handler, keys)
        if not response.prepared:
            response.headers["x-jevons-version"] = version
            response.force_close()  # the client's next request deserves the fast path
        return response

    return middleware


async def _respond(request: web.Request, handler: Handler, keys: Keyring | None) -> web.StreamResponse:
    """The handler's response, or the error that it or the door had."""
    try:
        request[TENANT] = admit(",".join(request.headers.getall("via", [])), request.headers, keys)
        return await handler(request)
    except RequestError as error:
        return answer(error, request[REQUEST_ID])
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not allowed here: use {allowed}."
        return answer(MethodNotAllowed(message, headers={"allow": allowed}), request[REQUEST_ID])
    except web.HTTPNotFound:
        return answer(NotFound(f"Unknown path: {request.method} {request.path[:200]}"), request[REQUEST_ID])


def admit(via: str, headers: Mapping[str, str], keys: Keyring | None) -> str:
    """The tenant whose request this is; raises LoopDetected or Unauthorized. `via` is all of that header's lines."""
    if via:
        _refuse_loop(via)
    return ANONYMOUS if keys is None else _tenant(headers, keys)


def _refuse_loop(via: str) -> None:
    """A `Via` of our own means that an upstream points back at a jevons."""
    for hop in via.split(","):
        if hop.strip().partition(" ")[2].strip().lower().startswith("jevons"):
            raise LoopDetected("This request has been through jevons already: an upstream points back at it.")


def _tenant(headers: Mapping[str, str], keys: Keyring) -> str:
    key = bearer_of(headers) or headers.get("x-api-key", "")
    tenant = keys.tenant_of(key) if key else None
    if tenant is None:
        message = "Incorrect API key provided." if key else "No API key provided: send `Authorization: Bearer …`."
        raise Unauthorized(message, headers={"www-authenticate": "Bearer"})
    return tenant


def bearer_of(headers: Mapping[str, str]) -> str:
    """The token of an `Authorization: Bearer` header; empty where there is none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""
