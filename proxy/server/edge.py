"""What every request meets first: a request id, loop detection, who is asking; and last: errors in OpenAI's shape."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeAlias

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from ..errors import LoopDetected, MethodNotAllowed, NotFound, RequestError, Unauthorized
from ..identity import ANYBODY, Identity
from .rates import Rates

REQUEST_ID: Final = web.RequestKey("request_id", str)
IDENTITY: Final = web.RequestKey("identity", Identity)
_IDS_AT_ONCE: Final = 256

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("jevons.server")


class Keyring(Protocol):
    """Whoever knows which key belongs to whom."""

    def identity_of(self, bearer: str) -> Identity | None:
        """The holder of a key; None for one that nobody knows."""
        ...


def new_request_id() -> str:
    """An id that nobody else has."""
    return f"req_{os.urandom(16).hex()}"


class RequestIds:
    """Such ids by the hundred: the system is asked for randomness once for all of them."""

    def __init__(self) -> None:
        self._left: list[str] = []

    def take(self) -> str:
        """The next one."""
        if not self._left:
            block = os.urandom(16 * _IDS_AT_ONCE).hex()
            self._left = [f"req_{block[at : at + 32]}" for at in range(0, len(block), 32)]
        return self._left.pop()


def answer(error: RequestError, request_id: str) -> web.Response:
    """An error as OpenAI clients expect it."""
    headers = {"content-type": "application/json", "x-request-id": request_id, **error.headers}
    return web.Response(status=error.status, headers=headers, body=error.body())


class Door:
    """Lets in who may come in, before a body is read. Without `keys` everybody may."""

    def __init__(self, keys: Keyring | None) -> None:
        self._keys = keys
        self._rates = Rates()

    def admit(self, via: str, headers: Mapping[str, str]) -> Identity:
        """Who asks; raises LoopDetected, Unauthorized or RateLimited. `via` is all of that header's lines."""
        if via:
            _refuse_loop(via)
        if self._keys is None:
            return ANYBODY
        identity = _identify(headers, self._keys)
        if identity.requests_per_minute is not None:
            self._rates.take(identity.key or identity.tenant, identity.requests_per_minute)
        return identity


def edge(door: Door, version: str) -> Middleware:
    """The middleware of the main listener."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = new_request_id()
        response = await _respond(request, handler, door)
        if not response.prepared:
            response.headers["x-jevons-version"] = version
            response.force_close()  # the client's next request deserves the fast path
        return response

    return middleware


async def _respond(request: web.Request, handler: Handler, door: Door) -> web.StreamResponse:
    """The handler's response, or the error that it or the door had."""
    try:
        request[IDENTITY] = door.admit(",".join(request.headers.getall("via", [])), request.headers)
        return await handler(request)
    except RequestError as error:
        return answer(error, request[REQUEST_ID])
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not allowed here: use {allowed}."
        return answer(MethodNotAllowed(message, headers={"allow": allowed}), request[REQUEST_ID])
    except web.HTTPNotFound:
        return answer(NotFound(f"Unknown path: {request.method} {request.path[:200]}"), request[REQUEST_ID])


def _refuse_loop(via: str) -> None:
    """A `Via` of our own means that an upstream points back at a jevons."""
    for hop in via.split(","):
        if hop.strip().partition(" ")[2].strip().lower().startswith("jevons"):
            raise LoopDetected("This request has been through jevons already: an upstream points back at it.")


def _identify(headers: Mapping[str, str], keys: Keyring) -> Identity:
    key = bearer_of(headers) or headers.get("x-api-key", "")
    identity = keys.identity_of(key) if key else None
    if identity is None:
        message = "Incorrect API key provided." if key else "No API key provided: send `Authorization: Bearer …`."
        raise Unauthorized(message, headers={"www-authenticate": "Bearer"})
    return identity


def bearer_of(headers: Mapping[str, str]) -> str:
    """The token of an `Authorization: Bearer` header; empty where there is none."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else ""
