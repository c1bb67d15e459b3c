"""The request path on one page: decide -> forward -> meter -> record. Nothing on it waits for anything but the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import structlog

from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts, Reject, Wait

from .affinity import ResponseAffinity
from .errors import RequestError, UpstreamError, UpstreamUnavailable
from .exchange import Dialect, Outcome, Plan, Record, Request, Target
from .metering.metering import Metering
from .passage import Downstream, Passage, Try
from .reassembling import Reassembler, Reassembly
from .records import RecordStore
from .relay import Relay
from .upstreams.client import UpstreamClient
from .upstreams.dialects import can_inject_usage, takes_request_id, thinking_changes
from .upstreams.health import Health
from .upstreams.reply import UpstreamReply
from .wire.parsing import usage_injection

log = structlog.get_logger("jevons.pipeline")


class Observer(Protocol):
    """Whoever counts what passes. Every call returns at once."""

    def request_started(self, upstream: str) -> None:
        """An attempt at an upstream began."""
        ...

    def request_ended(self, upstream: str) -> None:
        """It is over."""
        ...

    def route_decided(self, policy: str, decision: str) -> None:
        """A request was routed, or rejected by a policy."""
        ...

    def switch_not_honoured(self, upstream: str) -> None:
        """A server thought although its thinking was switched off."""
        ...

    def answered(self, record: Record) -> None:
        """The client has had all that it gets; the energy may be provisional."""
        ...

    def export(self, record: Record) -> None:
        """The energy is final."""
        ...


class Pipeline:
    """What happens to every request."""

    def __init__(
        self,
        *,
        chain: PolicyChain,
        facts: Callable[[], Facts],
        client: UpstreamClient,
        health: Health,
        metering: Metering,
        records: RecordStore,
        affinity: ResponseAffinity,
        observer: Observer,
        version: str,
    ) -> None:
        self._chain = chain
        self._facts = facts
        self._client = client
        self._health = health
        self._metering = metering
        self._records = records
        self._affinity = affinity
        self._observer = observer
        self.version = version
        self._passages: dict[str, Passage] = {}
        """In flight, or with energy that is not final."""
        self._reassembler = Reassembler()
        self._refuses_usage: set[str] = set()
        """Upstreams that have refused to be asked for the usage of a stream."""

    @property
    def in_flight(self) -> int:
        """Requests whose clients are still waiting."""
        return sum(passage.outcome is None for passage in self._passages.values())

    def record(self, request_id: str, tenant: str) -> Record | None:
        """One request of this tenant, in flight or done; None where there is none."""
        passage = self._passages.get(request_id)
        if passage is None:
            return self._records.get(request_id, tenant)
        return passage.record() if passage.request.tenant == tenant else None

    async def handle(self, request: Request, downstream: Downstream) -> None:
        """Take one request through. Cancelled when its client leaves, and then the upstream is let go at once."""
        passage = Passage(request)
        self._passages[request.id] = passage
        outcome = Outcome.CANCELLED
        try:
            plan = await self._decide(passage)
            if isinstance(plan, Reject):
                outcome = Outcome.REJECTED
                await self._answer(plan.error, passage, downstream)
            else:
                outcome = await self._forward(passage, downstream)
        except UpstreamError as error:
            outcome = Outcome.UPSTREAM_ERROR
            log.warning("upstream failed", request_id=request.id, reason=error.message)
            if not downstream.has_started:
                await self._answer(error, passage, downstream)
        except ConnectionError:
            # The client went while something was being written to it.
            outcome = Outcome.CANCELLED
        finally:
            self._close(passage, outcome)

    async def _decide(self, passage: Passage) -> Plan | Reject:
        while True:
            decision = self._chain.decide(passage.request, self._facts())
            if isinstance(decision.verdict, Wait):
                await asyncio.sleep(decision.verdict.seconds)
                continue
            passage.plan = decision.plan
            self._observer.route_decided(decision.policy, decision.word)
            return decision.verdict

    async def _forward(self, passage: Passage, downstream: Downstream) -> Outcome:
        """Try the candidates in order; the next only where the last could not be reached.

        One that was reached may have done the work already, or have died of it: its failure is the answer.
        """
        failure: UpstreamUnavailable | None = None
        for target in passage.plan.candidates:
            try:
                return await self._attempt(passage, target, downstream)
            except UpstreamUnavailable as error:
                failure = error
        raise failure or UpstreamUnavailable("No upstream is left to try.")

    async def _attempt(self, passage: Passage, target: Target, downstream: Downstream) -> Outcome:
        name = target.upstream.name
        request = passage.request
        dialect = self._health.dialect(name)
        reassembly = self._reassembler.plan(request, target, dialect)
        asked = replace(request, stream=True) if reassembly else request
        metered = self._metering.begin(name, asked) if request.endpoint.is_metered else None
        attempt = Try(target, metered)
        passage.tries.append(attempt)
        outcome = Outcome.CANCELLED
        reply: UpstreamReply | None = None
        relay: Relay | None = None
        self._observer.request_started(name)
        try:
            reply, has_injected = await self._send(asked, target, dialect, reassembly)
            relay = Relay(passage, attempt, reply, downstream, strips_usage=has_injected, reassembly=reassembly)
            outcome = await relay.run(self._headers(passage))
            self._reassembler.learn(request, target, dialect, relay.whole)
            self._reassembler.give_up(name, relay.problems)
        except UpstreamError:
            outcome = Outcome.UPSTREAM_ERROR
            raise
        finally:
            if reply is not None:
                reply.close()
            if outcome is Outcome.CANCELLED and relay is not None and relay.is_delivered:
                outcome = Outcome.OK
            if outcome is Outcome.OK and relay is not None and relay.response_id is not None:
                self._affinity.remember(relay.response_id, name)
            attempt.end(outcome)
            self._observer.request_ended(name)
        if target.thinking is False and attempt.usage.reasoning:
            self._observer.switch_not_honoured(name)
        return outcome

    async def _send(
        self, request: Request, target: Target, dialect: Dialect, reassembly: Reassembly | None
    ) -> tuple[UpstreamReply, bool]:
        """Send the request; returns the reply and whether usage was asked for on the client's behalf."""
        name = target.upstream.name
        changes = self._changes(request, target, dialect)
        if reassembly:
            changes["stream"] = True
        injection = usage_injection(request) if can_inject_usage(dialect) and name not in self._refuses_usage else {}
        reply = await self._post(request, target, dialect, {**changes, **injection})
        if not injection or not await reply.refuses("stream_options"):
            return reply, bool(injection)
        reply.close()
        reply = await self._post(request, target, dialect, changes)
        if not reply.is_refusal:  # else it was something else, and the server's words only quoted the request
            self._refuses_usage.add(name)
            log.info("upstream refuses stream_options", upstream=name)
        return reply, False

    async def _post(self, request: Request, target: Target, dialect: Dialect, changes: dict[str, object]) -> UpstreamReply:
        headers = dict(request.headers)
        if takes_request_id(dialect):
            headers["x-request-id"] = request.client_request_id or request.id
        body = request.body.encode(target.upstream.model, changes)
        return await self._client.send(target.upstream, request.endpoint, body, request.body.content_type, headers)

    @staticmethod
    def _changes(request: Request, target: Target, dialect: Dialect) -> dict[str, object]:
        if target.thinking is None:
            return {}
        return thinking_changes(dialect, thinking=target.thinking, template_kwargs=request.template_kwargs)

    def _headers(self, passage: Passage) -> dict[str, str]:
        headers = {"x-request-id": passage.request.id, "x-jevons-version": self.version}
        if passage.tries:
            headers["x-jevons-upstream"] = passage.tries[-1].target.upstream.name
        if route := passage.plan.route:
            headers["x-jevons-route"] = route
        return headers

    async def _answer(self, error: RequestError, passage: Passage, downstream: Downstream) -> None:
        headers = {"content-type": "application/json", **self._headers(passage), **error.headers}
        await downstream.reply(error.status, headers, error.body())

    def _close(self, passage: Passage, outcome: Outcome) -> None:
        """The client is served or gone: tell it now, and once more when every joule of it is known."""
        if outcome is Outcome.CANCELLED and passage.tries and passage.tries[-1].outcome is Outcome.OK:
            outcome = Outcome.OK
        passage.end(outcome)
        record = passage.record()
        self._records.put(record)
        self._observer.answered(record)
        for attempt in passage.tries:
            if attempt.metered is not None and not attempt.metered.is_final:
                attempt.metered.when_final(lambda: self._settle(passage))
        self._settle(passage)

    def _settle(self, passage: Passage) -> None:
        if passage.is_settled and self._passages.pop(passage.request.id, None) is not None:
            record = passage.record()
            self._records.put(record)
            self._observer.export(record)
