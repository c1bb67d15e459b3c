"""The way of one request from server to server: where it goes first, and whether it may go on from a failure.

It goes on only while its client has seen nothing. From a server that has done no work (it could not be reached, or said that it
is busy) it always may; from one that may have worked, and failed, once, and out of a budget that all requests share: what a
server died of must not be carried to all the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from ..errors import UpstreamBusy, UpstreamError, UpstreamRefused, UpstreamUnavailable, WaitedInVain
from ..exchange import Outcome, Request, Target
from .admission import LineFullError, WaitedTooLongError
from .balancing import Station
from .fleet import Fleet, Group, Seat, whole_seconds

SECOND_TRIES: Final = 1
"""Of one request, where the first may have done work."""
SUCCESSES_END: Final = 300
PASSING: Final = frozenset({500, 502, 503, 504, 529})
"""Errors that another server might not have."""


class Tour:
    """Where one request has been and may still go."""

    __slots__ = ("_candidates", "_fleet", "_request", "_retries", "_server", "failure", "tried")

    def __init__(self, fleet: Fleet, request: Request, candidates: Sequence[Target], server: str | None = None) -> None:
        """`server`: the only one of an upstream's servers that will do, since it holds what the request goes on from."""
        self.tried: tuple[Station, ...] = ()
        self.failure: UpstreamError | None = None
        """The last one, which the client is told of where nothing comes of the others."""
        self._fleet = fleet
        self._request = request
        self._candidates = candidates
        self._server = server
        self._retries = 0
        fleet.budget.earn()
        if server is not None:
            self._rule_others_out(server)

    def _rule_others_out(self, server: str) -> None:
        stations = [station for target in self._candidates for station in self._fleet.group(target.upstream).stations]
        if any(station.upstream.name == server for station in stations):
            self.tried = tuple(station for station in stations if station.upstream.name != server)

    async def next(self) -> Seat:
        """The next place to try; waits in line where all that are well are busy. Raises the last failure where none is left."""
        given_up: tuple[Group, ...] = ()
        for target in self._candidates:
            group = self._fleet.group(target.upstream)
            seat = None if group.line.turns else group.sit(target, self._request, self.tried)
            if seat is None and group.is_worth_waiting_for(self.tried):
                seat = await self._wait(group, target)
                given_up = (*given_up, group)
            if seat is not None:
                return seat
        for target in self._candidates:
            group = self._fleet.group(target.upstream)
            seat = group.sit(target, self._request, self.tried, well=False)
            if seat is None and group not in given_up and group.may_be_tried(self.tried):
                seat = await self._wait(group, target)
            if seat is not None:
                return seat
        raise self.failure or self._all_ejected()

    async def _wait(self, group: Group, target: Target) -> Seat | None:
        take = partial(group.sit_in_turn, target, self._request, self.tried)
        name = group.upstream.name
        try:
            return await group.line.wait(take, lambda seat: seat.leave(Outcome.CANCELLED))
        except LineFullError:
            error = UpstreamBusy(f"Upstream {name!r} is busy, and {len(group.line)} requests wait for it already.")
        except WaitedTooLongError:
            error = WaitedInVain(f"Upstream {name!r} is busy: no place came free in {group.line.seconds:g} s.")
        error.headers["retry-after"] = group.retry_after
        self.failure = self.failure or error
        return None

    def _all_ejected(self) -> UpstreamError:
        groups = [self._fleet.group(target.upstream) for target in self._candidates]
        if not groups:
            return UpstreamUnavailable("No upstream is left to try.")
        seconds = min(group.seconds_until_trial for group in groups)
        message = f"Upstream {groups[-1].upstream.name!r} has failed again and again, and is left alone for a while."
        return UpstreamUnavailable(message, headers={"retry-after": whole_seconds(seconds)})

    def heard(self, seat: Seat, status: int, headers: dict[str, str]) -> None:
        """The reply has begun: raises UpstreamRefused where it is an error, and another server is to be asked instead."""
        if status < SUCCESSES_END and not seat.is_trial:  # nearly always
            seat.status = status
            return
        seat.heard(status, headers)
        if status not in PASSING and not seat.is_busy:
            return
        rest = (*self.tried, seat.station)
        groups = [self._fleet.group(target.upstream) for target in self._candidates]
        if not any(group.is_worth_waiting_for(rest) for group in groups) or not self._may_leave(is_free=seat.is_busy):
            return
        passed_on = {"retry-after": headers["retry-after"]} if "retry-after" in headers else {}
        raise UpstreamRefused(f"Upstream {seat.target.upstream.name!r} answered {status}.", headers=passed_on).with_status(status)

    def go_on(self, seat: Seat, error: UpstreamError) -> None:
        """A try has failed and the client knows nothing of it; raises the error where that is the end."""
        is_paid = isinstance(error, UpstreamRefused)
        rest = (*self.tried, seat.station)
        if not is_paid and not isinstance(error, UpstreamUnavailable):
            groups = [self._fleet.group(target.upstream) for target in self._candidates]
            if not any(group.may_be_tried(rest) for group in groups) or not self._may_leave(is_free=False):
                raise error
        self.tried, self.failure = rest, error
        seat.group.retries += 1

    def _may_leave(self, *, is_free: bool) -> bool:
        if is_free:
            return True
        if self._retries >= SECOND_TRIES or not self._fleet.budget.spend():
            return False
        self._retries += 1
        return True
