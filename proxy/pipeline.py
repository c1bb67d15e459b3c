"""The request path on one page: decide -> forward -> meter -> record. Nothing on it waits for anything but the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog
from msgspec import structs

from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts, Reject, Wait

from .affinity import ResponseAffinity
from .answers import read_answer
from .errors import RequestError, UpstreamBusy, UpstreamError
from .exchange import Dialect, Endpoint, Outcome, Plan, Reason, Record, Request, Target, Upstream
from .holdout import SETTLED_SECONDS, Nobody
from .metering.metering import Metering
from .passage import Downstream, Passage, Try
from .reassembling import Reassembler
from .records import RecordStore
from .relay import AnswerRefusedError, KeepAlive, Relay
from .upstreams.client import UpstreamClient
from .upstreams.dialects import can_inject_usage, is_not_honoured, takes_request_id, thinking_changes
from .upstreams.fleet import Fleet, Seat
from .upstreams.health import Health
from .upstreams.reply import UpstreamReply
from .upstreams.tour import Tour
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


class Holdout(Protocol):
    """Whoever asks the other arm for a sample of what was answered."""

    def offer(self, request: Request, plan: Plan) -> None:
        """A client has its answer, by this plan. Returns at once."""
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
        fleet: Fleet,
        metering: Metering,
        records: RecordStore,
        affinity: ResponseAffinity,
        observer: Observer,
        version: str,
        keeps_prompts: bool = False,
        keep_alive: KeepAlive | None = None,
    ) -> None:
        self._chain = chain
        self._facts = facts
        self._client = client
        self._health = health
        self._fleet = fleet
        self._keep_alive = keep_alive
        self._metering = metering
        self._records = records
        self._affinity = affinity
        self._observer = observer
        self.version = version
        self._holdout: Holdout | None = None
        self._keeps_prompts = keeps_prompts
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
                if self._holdout is not None and outcome is Outcome.OK:
                    self._holdout.offer(request, passage.plan)
        except UpstreamError as error:
            outcome = Outcome.REJECTED if isinstance(error, UpstreamBusy) else Outcome.UPSTREAM_ERROR
            log.warning("upstream failed", request_id=request.id, reason=error.message)
            if not downstream.has_started:
                await self._answer(error, passage, downstream)
        except ConnectionError:
            # The client went while something was being written to it.
            outcome = Outcome.CANCELLED
        finally:
            self._close(passage, outcome)

    def use(self, chain: PolicyChain, holdout: Holdout | None) -> None:
        """Decide by these from now on; what is in flight ends by those that it began with."""
        self._chain = chain
        self._holdout = holdout

    async def ask_other_arm(self, request: Request, target: Target, of: str) -> Record:
        """Ask a second target for what a client has had already; returns once its energy is final. The answer is for nobody."""
        reason = Reason("holdout", "other arm", target.tier)
        passage = Passage(request, plan=Plan((target,), (reason,), target.tier), holdout_of=of)
        self._passages[request.id] = passage
        outcome = Outcome.CANCELLED
        try:
            outcome = await self._forward(passage, Nobody())
        except UpstreamError:
            outcome = Outcome.UPSTREAM_ERROR
        finally:
            self._close(passage, outcome)
        for attempt in passage.tries:
            if attempt.metered is not None:
                await attempt.metered.settled(SETTLED_SECONDS)
        return passage.record()

    async def _decide(self, passage: Passage) -> Plan | Reject:
        chain = passage.chain = self._chain
        while True:
            facts = self._facts()
            decision = chain.decide(passage.request, facts)
            verdict = decision.verdict
            if isinstance(verdict, Wait):
                await asyncio.sleep(verdict.seconds)
                continue
            passage.plan = plan = decision.plan
            self._observer.route_decided(decision.policy, plan.decision)
            if plan is verdict:
                chain.admit(passage.request, plan, facts)
            return verdict

    async def _forward(self, passage: Passage, downstream: Downstream, *, is_escalated: bool = False) -> Outcome:
        """Ask one server after the other, as far as `Tour` lets it go on from a failure that the client knows nothing of."""
        request = passage.request
        held_by = self._affinity.servers.get(request.previous_response_id) if request.previous_response_id else None
        tour = Tour(self._fleet, request, passage.plan.candidates, held_by)
        while True:
            seat = await tour.next()
            try:
                return await self._attempt(passage, tour, seat, downstream, is_escalated=is_escalated)
            except UpstreamError as error:
                if downstream.has_started:
                    raise
                tour.go_on(seat, error)
                log.info("tried elsewhere", request_id=request.id, reason=error.message)
            except AnswerRefusedError as refused:
                return await self._escalate(passage, refused, downstream)

    async def _escalate(self, passage: Passage, refused: AnswerRefusedError, downstream: Downstream) -> Outcome:
        """Reasoning answers instead; where it cannot, the answer that would not do is better than none."""
        passage.plan = plan = refused.plan
        if plan.decisive is not None:
            self._observer.route_decided(plan.decisive.policy, plan.decision)
        try:
            return await self._forward(passage, downstream, is_escalated=True)
        except UpstreamError as error:
            log.warning("escalation failed", request_id=passage.request.id, reason=error.message)
            if downstream.has_started:
                raise
        return await refused.deliver()

    def _reviewer(self, passage: Passage, target: Target) -> Callable[[bytes], Plan | None] | None:
        """Who may refuse an answer from there; None where nobody wants to see it."""
        chain, request = passage.chain, passage.request
        if chain is None or not chain.reviews or request.endpoint is not Endpoint.CHAT or request.sequences > 1:
            return None

        def review(body: bytes) -> Plan | None:
            answer, facts = read_answer(request, body), self._facts()
            plan = None if answer is None else chain.review(request, passage.plan, target, answer, facts)
            if plan is not None:
                chain.admit(request, plan, facts)
            return plan

        return review

    async def _attempt(self, passage: Passage, tour: Tour, seat: Seat, downstream: Downstream, *, is_escalated: bool) -> Outcome:
        target, server, request = seat.target, seat.server, passage.request
        name = target.upstream.name
        reviews = passage.chain is not None and passage.chain.reviews
        dialect = self._health.dialect(server.name)
        reassembly = self._reassembler.plan(request, target, dialect) if target.upstream.reassemble else None
        changes = _changes(request, target, dialect) if target.thinking is not None or target.how is not None else {}
        asked = request
        if reassembly is not None:
            asked, changes["stream"] = structs.replace(request, stream=True), True
        attempt = Try(target, None)
        passage.tries.append(attempt)
        outcome = Outcome.CANCELLED
        reply: UpstreamReply | None = None
        relay: Relay | None = None
        on_way = partial(self._meter, attempt, server, asked) if request.endpoint.is_metered else None
        self._observer.request_started(name)
        try:
            if asked.stream:
                reply, has_injected = await self._send_stream(asked, seat, dialect, changes, on_way)
            else:
                reply, has_injected = await self._post(asked, server, dialect, changes, on_way), False
            tour.heard(seat, reply.status, reply.headers)
            relay = Relay(
                passage,
                attempt,
                reply,
                downstream,
                strips_usage=has_injected,
                reassembly=reassembly,
                review=self._reviewer(passage, target) if reviews and not is_escalated else None,
                raises_errors=is_escalated,
                keep_alive=self._keep_alive,
            )
            outcome = await relay.run(self._headers(passage))
            if target.upstream.reassemble:
                self._reassembler.learn(request, target, dialect, relay.whole)
                self._reassembler.give_up(name, relay.problems)
        except UpstreamError:
            outcome = Outcome.UPSTREAM_ERROR
            raise
        except AnswerRefusedError:
            outcome = Outcome.REJECTED
            raise
        finally:
            outcome = self._end_try(attempt, seat, reply, relay, outcome, request)
        return outcome

    def _meter(self, attempt: Try, server: Upstream, request: Request) -> None:
        """The request is on its way."""
        attempt.metered = self._metering.begin(server.name, request)

    def _end_try(
        self, attempt: Try, seat: Seat, reply: UpstreamReply | None, relay: Relay | None, outcome: Outcome, request: Request
    ) -> Outcome:
        """Let go of the server, and tell everybody; returns how it really ended."""
        name = seat.target.upstream.name
        if reply is not None:
            reply.close()
            attempt.cost_usd = reply.cost_usd
        if relay is not None:
            if outcome is Outcome.CANCELLED and relay.is_delivered:
                outcome = Outcome.OK
            if outcome is Outcome.OK and relay.response_id is not None:
                self._affinity.remember(relay.response_id, name, seat.server.name)
        attempt.end(outcome)
        seat.leave(outcome, attempt.usage, request.sequences)
        self._observer.request_ended(name)
        if seat.target.thinking is not None and is_not_honoured(seat.target, attempt.usage):
            self._observer.switch_not_honoured(name)
        return outcome

    async def _send_stream(
        self, request: Request, seat: Seat, dialect: Dialect, changes: dict[str, object], on_way: Callable[[], None] | None
    ) -> tuple[UpstreamReply, bool]:
        """Ask for a stream; returns the reply and whether usage was asked for on the client's behalf."""
        server, name = seat.server, seat.target.upstream.name
        injection = usage_injection(request) if can_inject_usage(dialect) and name not in self._refuses_usage else {}
        reply = await self._post(request, server, dialect, {**changes, **injection}, on_way)
        if not injection or not await reply.refuses("stream_options"):
            return reply, bool(injection)
        reply.close()
        reply = await self._post(request, server, dialect, changes, None)
        if not reply.is_refusal:  # else it was something else, and the server's words only quoted the request
            self._refuses_usage.add(name)
            log.info("upstream refuses stream_options", upstream=name)
        return reply, False

    def _post(
        self,
        request: Request,
        server: Upstream,
        dialect: Dialect,
        changes: dict[str, object],
        on_way: Callable[[], None] | None,
    ) -> Awaitable[UpstreamReply]:
        headers = request.headers
        if takes_request_id(dialect):
            headers = {**headers, "x-request-id": request.client_request_id or request.id}
        body = request.body.encode(server.model, changes)
        return self._client.send(server, request.endpoint, body, request.body.content_type, headers, on_way=on_way)

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
        record = passage.record(as_told=True)
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
            if passage.chain is not None:
                passage.chain.settle(record)
            self._observer.export(
                structs.replace(record, prompt=passage.request.prompt.conversation) if self._keeps_prompts else record
            )


def _changes(request: Request, target: Target, dialect: Dialect) -> dict[str, object]:
    """What switches the target's thinking."""
    return thinking_changes(
        dialect,
        thinking=target.thinking,
        template_kwargs=request.template_kwargs,
        how=target.how,
        endpoint=request.endpoint,
    )
