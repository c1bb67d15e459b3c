"""The vocabulary of an exchange: what one request is, where it may go, what it used and what it cost.

Nouns only, all frozen: `Request` comes in, a `Plan` says where it may go, each try is an `Attempt`, all of them with their
energy make the `Record`. Policies, exporters, metering and upstreams speak to each other through these and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Final, Protocol

from .observed import Intensity
from .units import GramsCO2e, Joules, Seconds, Watts


class Endpoint(Enum):
    """The paths of the main listener that reach a model; the value is the path."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    RESPONSES = "/v1/responses"
    MESSAGES = "/v1/messages"
    COUNT_TOKENS = "/v1/messages/count_tokens"
    EMBEDDINGS = "/v1/embeddings"
    RERANK = "/v1/rerank"
    TRANSCRIPTIONS = "/v1/audio/transcriptions"

    @property
    def generates(self) -> bool:
        """Whether the server decodes tokens for it (embeddings and rerank are prompt work only)."""
        return self not in {Endpoint.EMBEDDINGS, Endpoint.RERANK, Endpoint.COUNT_TOKENS}

    @property
    def is_metered(self) -> bool:
        """Whether it puts work on the device at all (counting tokens is the server's CPU)."""
        return self is not Endpoint.COUNT_TOKENS


class Dialect(StrEnum):
    """What kind of server an upstream is; AUTO is found out by asking it."""

    AUTO = "auto"
    VLLM = "vllm"
    SGLANG = "sglang"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "ollama"
    OPENAI = "openai"
    DEEPSEEK = "deepseek"
    TRANSFORMERS = "transformers"


class Reasoning(StrEnum):
    """Whether a model thinks before it answers."""

    NEVER = "never"
    ALWAYS = "always"
    SWITCHABLE = "switchable"


class Tier(StrEnum):
    """What a request gets: a plain answer, or chain-of-thought first."""

    DIRECT = "direct"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The energy model of one engine (METERING: `E_step = fixed + sum of marginal terms`), in joules.

    Only their ratios decide who pays what; the meter sets the total.
    """

    fixed_joules_per_step: Joules
    joules_per_token: Joules
    joules_per_context_token: Joules
    joules_per_prompt_token: Joules


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for an upstream at each stage; no stage has a total."""

    connect_seconds: Seconds = 5.0
    first_byte_seconds: Seconds = 3600.0
    idle_seconds: Seconds = 600.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One model server. `base_url` ends in `/v1` or whatever precedes `/chat/completions`, without a slash."""

    name: str
    base_url: str
    model: str
    reasoning: Reasoning = Reasoning.NEVER
    dialect: Dialect = Dialect.AUTO
    devices: tuple[str, ...] = ("all",)
    api_key: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    context_tokens: int | None = None
    abilities: frozenset[str] | None = None
    coefficients: Coefficients | None = None
    reassemble: bool = False
    """Whether whole replies may be asked for as streams and put together here."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The cheap facts about what is asked, for policies. `tokens` is an estimate until the server counts."""

    text: str = ""
    """The last user turn."""
    conversation: str = ""
    """Every turn's text, the system prompt included, newline-joined."""
    tokens: int = 0
    has: frozenset[str] = frozenset()
    """Of `code`, `tools`, `images`, `json_schema`."""


class Body(Protocol):
    """A request body that can be sent on under another model name, every other value byte for byte as it came."""

    @property
    def content_type(self) -> str:
        """The media type, with its parameters."""
        ...

    def encode(self, model: str, changes: Mapping[str, object]) -> bytes:
        """The bytes to send: `model` replaced, top-level `changes` laid over, the rest untouched."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the client sent it, parsed no further than a decision needs."""

    id: str
    endpoint: Endpoint
    body: Body
    model: str
    started_at: float
    """Unix time, for people."""
    tenant: str = "default"
    client_request_id: str | None = None
    stream: bool = False
    wants_usage: bool = False
    """Whether a stream's client asked for the usage chunk."""
    sequences: int = 1
    """How many the server decodes for it: `n`, `best_of`, a list of prompts."""
    max_tokens: int | None = None
    prompt: Prompt = Prompt()
    tier: Tier | None = None
    """The client's `x-jevons-tier`; None is `auto`."""
    reasoning_effort: str | None = None
    session: str | None = None
    previous_response_id: str | None = None
    template_kwargs: Mapping[str, object] = field(default_factory=dict)
    """The client's own `chat_template_kwargs`, which a thinking switch is laid over."""
    waits_for_energy: bool = False
    """`x-jevons-energy: final`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The client's headers that may be passed on, names in lower case."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One policy's word on one request. `word` is a rule's name or a score, ASCII, never prompt text."""

    policy: str
    word: str
    to: str
    """`direct`, `reasoning` or an upstream's name; empty where the policy had nothing to say."""

    def __str__(self) -> str:
        return f"{self.policy}:{self.word};to={self.to}" if self.to else f"{self.policy}:{self.word}"


@dataclass(frozen=True, slots=True)
class Target:
    """One place a request may go: an upstream, with its thinking switched where it has a switch."""

    upstream: Upstream
    thinking: bool | None = None
    """None leaves the server's default."""

    @property
    def tier(self) -> Tier:
        """Whether an answer from here thinks first."""
        if self.thinking is None:
            return Tier.DIRECT if self.upstream.reasoning is Reasoning.NEVER else Tier.REASONING
        return Tier.REASONING if self.thinking else Tier.DIRECT


_ROUTE_PART_CHARACTERS: Final = 100
_NOT_HEADER_SAFE: Final = re.compile(r"[^\x20-\x3a\x3c-\x7e]")
"""Anything but printable ASCII, and the semicolon, which separates the parts of a route."""


def _header_safe(text: str) -> str:
    return _NOT_HEADER_SAFE.sub("_", text[:_ROUTE_PART_CHARACTERS]).strip()


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a request may go, best first, and why. Empty `candidates`: nobody has decided yet."""

    candidates: tuple[Target, ...] = ()
    reasons: tuple[Reason, ...] = ()
    decision: str = ""
    """For counting: `direct`, `reasoning`, `pinned`, `unsure`; set by whoever decided."""

    def because(self, reason: Reason) -> Plan:
        """The same plan with one more reason."""
        return replace(self, reasons=(*self.reasons, reason))

    def sent_to(self, candidates: tuple[Target, ...], reason: Reason, decision: str) -> Plan:
        """The plan once a policy has decided."""
        return Plan(candidates, (*self.reasons, reason), decision)

    @property
    def decisive(self) -> Reason | None:
        """The word that settled where it goes: the last one that names a target."""
        return next((reason for reason in reversed(self.reasons) if reason.to), None)

    @property
    def route(self) -> str:
        """As `x-jevons-route` gives it, `<policy>:<rule or score>;to=<upstream>` in printable ASCII; empty while undecided."""
        reason = self.decisive
        if reason is None:
            return ""
        to = self.candidates[0].upstream.name if self.candidates else reason.to
        return f"{_header_safe(reason.policy)}:{_header_safe(reason.word)};to={_header_safe(to)}"


class Outcome(StrEnum):
    """How a request, or one try of it, ended."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    UPSTREAM_ERROR = "upstream_error"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one attempt; None is unknown. `completion` includes `reasoning`."""

    prompt: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    completion: int | None = None
    is_estimated: bool = False
    """Counted from the stream's chunks, since the server sent no usage."""
    is_reasoning_estimated: bool = False
    """The server counted `completion` but not `reasoning`: that is its share of the text."""

    def as_json(self) -> dict[str, int | None]:
        """As `GET /v1/energy/{id}` gives it."""
        return {"prompt": self.prompt, "cached": self.cached, "reasoning": self.reasoning, "completion": self.completion}


class Method(StrEnum):
    """Where a figure of energy comes from."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    SIMULATED = "simulated"


class EnergyStatus(StrEnum):
    """Whether every bin of the request has settled."""

    PROVISIONAL = "provisional"
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class Energy:
    """What one request, or one try, consumed. `joules` None is unknown, and then so are the method and the bounds."""

    joules: Joules | None = None
    low: Joules | None = None
    high: Joules | None = None
    method: Method | None = None
    status: EnergyStatus = EnergyStatus.FINAL
    scope: str | None = None
    quality: tuple[str, ...] = ()
    gco2e: GramsCO2e | None = None

    def as_json(self) -> dict[str, object]:
        """The energy object of the reply; `gco2e` only where an intensity is configured."""
        fields: dict[str, object] = {
            "joules": self.joules,
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "status": self.status,
            "scope": self.scope,
            "quality": list(self.quality),
        }
        if self.gco2e is not None:
            fields["gco2e"] = self.gco2e
        return fields


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one upstream."""

    upstream: str
    outcome: Outcome | None
    """None while it goes on."""
    usage: Usage
    energy: Energy


@dataclass(frozen=True, slots=True)
class Record:
    """One request with all its tries, as exporters and `GET /v1/energy/{id}` see it."""

    request_id: str
    tenant: str
    endpoint: Endpoint
    started_at: float
    """Unix time."""
    client_request_id: str | None = None
    upstream: str | None = None
    """The one that answered, or was asked last."""
    model: str | None = None
    plan: Plan = Plan()
    usage: Usage = Usage()
    energy: Energy = Energy()
    attempts: tuple[Attempt, ...] = ()
    outcome: Outcome | None = None
    """None while in flight."""
    time_to_first_token_seconds: Seconds | None = None
    duration_seconds: Seconds | None = None
    stream: bool = False
    sequences: int = 1
    """How many answers ran side by side, as in `Request`."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device at one instant. The four accounts sum to `settled_joules`, which trails `counter_joules` by the lag."""

    device: str
    name: str
    is_up: bool
    reason: str | None
    """Why it is down."""
    watts: Watts | None
    counter_joules: Joules | None
    settled_joules: Joules
    accounts: Mapping[str, Joules]
    """Keys `attributed`, `idle`, `bypass`, `unresolved`."""
    counter_power_ratio: float | None = None
    """Counter over integrated power, last 60 s."""
    is_bypass_suspected: bool = False
    """Its work has cost too much for too long, and no server says what others ask of it."""


@dataclass(frozen=True, slots=True)
class BypassState:
    """What reached one upstream past the proxy, in tokens since the start."""

    is_watched: bool
    """Whether the server's own counters are read."""
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def tokens(self) -> Mapping[str, float]:
        """By kind."""
        return {"prompt": self.prompt_tokens, "output": self.output_tokens}


@dataclass(frozen=True, slots=True)
class MeteringState:
    """All of metering at one instant: what `/metrics` and the pages show, taken in one go."""

    devices: tuple[DeviceState, ...] = ()
    settle_lag_seconds: Seconds = 0.0
    coefficients: Mapping[str, Coefficients] = field(default_factory=dict)
    """By upstream."""
    bypass: Mapping[str, BypassState] = field(default_factory=dict)
    """By upstream."""
    intensity: Intensity | None = None
    """Of the grid, where it is configured and known."""
