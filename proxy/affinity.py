"""Which upstream holds the state of a response, for requests that go on from it (`previous_response_id`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CAPACITY: Final = 10_000


class ResponseAffinity:
    """The upstreams of the last responses, by response id; the oldest are forgotten."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._upstreams: OrderedDict[str, str] = OrderedDict()
        self._servers: dict[str, str] = {}
        self._capacity = capacity

    def remember(self, response_id: str, upstream: str, server: str | None = None) -> None:
        """A response came from this upstream, and from which of its servers where it has several."""
        self._upstreams[response_id] = upstream
        self._upstreams.move_to_end(response_id)
        if server is not None and server != upstream:
            self._servers[response_id] = server
        while len(self._upstreams) > self._capacity:
            oldest, _ = self._upstreams.popitem(last=False)
            self._servers.pop(oldest, None)

    @property
    def upstreams(self) -> Mapping[str, str]:
        """Upstream by response id, to be read and not kept."""
        return MappingProxyType(self._upstreams)

    @property
    def servers(self) -> Mapping[str, str]:
        """The server by response id, of those upstreams that have several."""
        return self._servers
