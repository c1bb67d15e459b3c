"""All servers behind all upstreams, with who is well, who is busy and who waits for them.

An upstream of the configuration is a group of one or more servers. A request takes a seat at one of them and leaves it with a
word on how that went: from this come the breakers, the balance and the line. Which seat a request gets, `tour` decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from msgspec import Struct

from ..exchange import Outcome, Request, Target, Upstream, Usage
from ..observed import LineState, ServerState
from ..units import Seconds
from .admission import Line
from .balancing import Answers, Station, least_loaded
from .breaker import Breaker, BreakerLimits, BreakerState
from .retries import RetryBudget

MOST_RETRY_AFTER_SECONDS: Final = 60
BUSY: Final = frozenset({429, 503, 529})
"""What servers say that have too much to do: no failure where they say when to come again."""
_NO_USAGE: Final = Usage()
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def servers_of(upstream: Upstream) -> tuple[Upstream, ...]:
    """Its servers, each with an address and a name of its own: `chat#1`, `chat#2`; itself where it has but one."""
    urls = upstream.capacity.urls
    if not urls:
        return (upstream,)
    return tuple(replace(upstream, name=f"{upstream.name}#{number}", base_url=url) for number, url in enumerate(urls, 1))


class Seat(Struct, eq=False):
    """A request's place at one server, from its choice to its end."""

    target: Target
    station: Station
    group: Group
    work: float
    began: Seconds
    is_trial: bool
    status: int = 0
    """Of the reply; 0 while there is none."""
    is_busy: bool = False
    """The server said that it has too much to do."""

    @property
    def server(self) -> Upstream:
        """The server: its name is the upstream's own but for replicas."""
        return self.station.upstream

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """The reply has begun."""
        self.status = status
        if status < _TOO_MANY:
            if self.is_trial:
                self.station.breaker.answered()
        elif status in BUSY and (seconds := _retry_after(headers)) is not None:
            self.is_busy = True
            self.station.rest(self.group.clock(), seconds)

    def leave(self, outcome: Outcome, usage: Usage = _NO_USAGE, sequences: int = 1) -> None:
        """The request is over at this server, however it ended. Said once."""
        self.group.left(self, outcome, usage, sequences)


class Group:
    """The servers of one upstream, and the line before them."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        limits: BreakerLimits,
        clock: Callable[[], Seconds],
        problems: Mapping[str, str | None],
        before: Group | None = None,
    ) -> None:
        """`problems`: what is wrong with servers by the cheap questions. `before`: what was known under the same name."""
        known = {station.upstream.name: station for station in before.stations} if before is not None else {}
        self.upstream = upstream
        self.clock = clock
        self._problems = problems
        self._capacity = upstream.capacity
        self.stations: tuple[Station, ...] = tuple(
            known.get(server.name) or Station(server, Breaker(limits, clock)) for server in servers_of(upstream)
        )
        for station, server in zip(self.stations, servers_of(upstream), strict=True):
            station.upstream = server
        self.is_weighed = len(self.stations) > 1 or upstream.capacity.at_once is not None
        """Whether it matters how much work a request is."""
        self.answers: Answers = before.answers if before is not None else Answers()
        self.line: Line[Seat] = before.line if before is not None else Line(0, 0.0)
        self.line.requests, self.line.seconds = upstream.capacity.queue_requests, upstream.capacity.queue_seconds
        self.retries: int = before.retries if before is not None else 0
        """Requests that failed here and were tried again elsewhere."""
        self._count = 0

    def sit(self, target: Target, request: Request, tried: Container[Station], *, well: bool = True) -> Seat | None:
        """A seat at the server with the least to do; None where none has room. `well=False`: at one that is not well."""
        stations: Sequence[Station] = self.stations
        if well and not self.is_weighed:  # the usual: one server without a limit
            station = stations[0]
            is_free = station not in tried and self._is_well(station)
            return self._seat(target, station, 0.0, 0.0) if is_free else None
        now = self.clock()
        free = (
            station for station in stations if self._has_room(station) and (self._is_well(station) if well else _may_try(station))
        )
        found = least_loaded(free, tried, now, self.answers.memory_seconds)
        return None if found is None else self._seat(target, found, self.answers.work(request), now)

    def sit_in_turn(self, target: Target, request: Request, tried: Container[Station]) -> Seat | None:
        """The same for one who has waited: where no server is well any more, one that is not will do."""
        seat = self.sit(target, request, tried)
        if seat is None and not self.is_worth_waiting_for(tried):
            return self.sit(target, request, tried, well=False)
        return seat

    def _seat(self, target: Target, station: Station, work: float, now: Seconds) -> Seat:
        self._count += 1
        station.last = self._count
        station.requests += 1
        station.work += work
        breaker = station.breaker
        return Seat(target, station, self, work, now, breaker.state is not BreakerState.CLOSED and breaker.begin())

    def left(self, seat: Seat, outcome: Outcome, usage: Usage, sequences: int) -> None:
        """A seat comes free."""
        station = seat.station
        station.requests -= 1
        station.work = station.work - seat.work if station.requests else 0.0
        breaker = station.breaker
        if outcome is Outcome.CANCELLED:
            if seat.is_trial:
                breaker.let_go()
        elif outcome is Outcome.UPSTREAM_ERROR and not seat.is_busy and not _BAD_REQUEST <= seat.status < _SERVER_ERROR:
            breaker.fail(has_answered=seat.status >= _SERVER_ERROR)
            if self.is_weighed:
                station.failed(seat.work, self.clock(), self.answers.memory_seconds)
        else:
            if breaker.failures or breaker.state is not BreakerState.CLOSED:
                breaker.succeed()
            if self.is_weighed and outcome is Outcome.OK:
                self.answers.learn(usage, sequences, self.clock() - seat.began)
        if self.line.turns:
            self.line.move()
            if not any(map(_may_try, self.stations)):
                self.line.dismiss()

    def is_worth_waiting_for(self, tried: Container[Station]) -> bool:
        """Whether a server is well and has not been tried: then what it lacks is room."""
        return any(station not in tried and self._is_well(station) for station in self.stations)

    def may_be_tried(self, tried: Container[Station]) -> bool:
        """Whether any server is left that might answer."""
        return any(station not in tried and _may_try(station) for station in self.stations)

    def _is_well(self, station: Station) -> bool:
        """Whether nothing speaks against it: not its breaker, not the cheap questions, not its own word."""
        if station.breaker.state is not BreakerState.CLOSED and not station.breaker.admits():
            return False
        if self._problems.get(station.upstream.name) is not None:
            return False
        return not station.rests_until or self.clock() >= station.rests_until

    def _has_room(self, station: Station) -> bool:
        return self._capacity.at_once is None or station.requests < self._capacity.at_once

    @property
    def seconds_until_trial(self) -> Seconds:
        """Until one of its servers may be asked again."""
        return min(station.breaker.seconds_left for station in self.stations)

    @property
    def retry_after(self) -> str:
        """In whole seconds, when there may be room: those in line take the places one after the other."""
        places = max(1, len(self.stations) * (self._capacity.at_once or 1))
        seconds = (self.answers.seconds or 1.0) * (len(self.line) + 1) / places
        return whole_seconds(seconds)


def _may_try(station: Station) -> bool:
    """Whether it is no waste to ask: its breaker lets one pass, or it is there and at least says what is wrong."""
    return station.breaker.admits() or station.breaker.has_answered


class Fleet:
    """Every upstream's group. `problems`: by server, what is wrong with it; None or absent where nothing is known to be."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        problems: Mapping[str, str | None],
        clock: Callable[[], Seconds],
        limits: BreakerLimits,
        budget: RetryBudget,
    ) -> None:
        self.budget = budget
        self._problems = problems
        self._clock = clock
        self._limits = limits
        self._groups: dict[str, Group] = {}
        self.use(upstreams)

    def use(self, upstreams: Sequence[Upstream]) -> None:
        """These and no others, from now on; what is known of those that stay is kept, and so is who waits for them."""
        old, self._groups = self._groups, {}
        for upstream in upstreams:
            self._groups[upstream.name] = self._group(upstream, old.get(upstream.name))
        for name in old.keys() - self._groups.keys():
            old[name].line.dismiss()

    def _group(self, upstream: Upstream, before: Group | None = None) -> Group:
        return Group(upstream, limits=self._limits, clock=self._clock, problems=self._problems, before=before)

    def group(self, upstream: Upstream) -> Group:
        """That of an upstream; one that the configuration no longer names has one of its own for each request."""
        return self._groups.get(upstream.name) or self._group(upstream)

    def is_up_again(self, server: str) -> None:
        """A server answers cheap questions again."""
        for station in self._stations():
            if station.upstream.name == server:
                station.breaker.encourage()

    def _stations(self) -> Iterator[Station]:
        return (station for group in self._groups.values() for station in group.stations)

    def servers(self) -> list[ServerState]:
        """What is known of every server."""
        states = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 0.5, BreakerState.OPEN: 1.0}
        return [
            ServerState(station.upstream.name, states[station.breaker.state], station.breaker.opened)
            for station in self._stations()
        ]

    def lines(self) -> list[LineState]:
        """Who waits for each upstream, and who was turned away."""
        return [
            LineState(name, len(group.line), group.line.full, group.line.late, group.retries)
            for name, group in self._groups.items()
        ]


def whole_seconds(seconds: Seconds) -> str:
    """As `retry-after` gives it."""
    return str(min(MOST_RETRY_AFTER_SECONDS, max(1, math.ceil(seconds))))


def _retry_after(headers: Mapping[str, str]) -> Seconds | None:
    """What the server says, in seconds; None where it says nothing, or gives a date."""
    said = headers.get("retry-after", "")
    return float(said) if said.isascii() and said.isdigit() else None
