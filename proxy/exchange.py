"""The vocabulary of an exchange: what one request is, where it may go, what it used and what it cost.

Nouns only, all frozen: `Request` comes in, a `Plan` says where it may go, each try is an `Attempt`, all of them with their
energy make the `Record`. Policies, exporters, metering and upstreams speak to each other through these and nothing else.

Those that are made while a client waits are msgspec's, which makes one in a third of the time that a frozen dataclass takes;
`msgspec.structs.replace` changes them. Frozen as they are they cannot come into a cycle, and need not be looked for in any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, Protocol, TypeAlias

from msgspec import Struct

from .capacity import Capacity
from .observed import Intensity
from .route_header import write_route
from .units import GramsCO2e, Joules, Seconds

DEFAULT_TENANT: Final = "default"
"""Whose a request is that came without a key."""


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

    __hash__ = object.__hash__  # a member is itself and nothing else; Enum's own, by name, is a call for every look-up

    def __init__(self, path: str) -> None:
        self.generates = path not in {"/v1/embeddings", "/v1/rerank", "/v1/messages/count_tokens"}
        """Whether the server decodes tokens for it (embeddings and rerank are prompt work only)."""
        self.is_metered = path != "/v1/messages/count_tokens"
        """Whether it puts work on the device at all (counting tokens is the server's CPU)."""


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
    LITELLM = "litellm"


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


Doubts: TypeAlias = tuple[float, float, float, float]
"""How far off, relative, each of an engine's `Coefficients` may be: standard deviations."""


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
    devices: tuple[str, ...] = ("auto",)
    api_key: str | None = field(default=None, repr=False)
    timeouts: Timeouts = Timeouts()
    context_tokens: int | None = None
    abilities: frozenset[str] | None = None
    coefficients: Coefficients | None = None
    doubts: Doubts | None = None
    capacity: Capacity = field(default_factory=Capacity)
    reassemble: bool = False
    """Whether whole replies may be asked for as streams and put together here."""
    last_resort: bool = False
    """Whether it is asked where nobody else can be, and not otherwise chosen."""


class Prompt(Struct, frozen=True, gc=False):
    """The cheap facts about what is asked, for policies. `tokens` is an estimate until the server counts."""

    text: str = ""
    """The last user turn."""
    conversation: str = ""
    """Every turn's text, the system prompt included, newline-joined."""
    answered: int = 0
    """How many characters of the conversation stand before the last answer in it: all that the last request held."""
    system: str = ""
    """The system prompt, where it stands apart or first."""
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


class Request(Struct, frozen=True, gc=False):
    """One request as the client sent it, parsed no further than a decision needs."""

    id: str
    endpoint: Endpoint
    body: Body
    model: str
    started_at: float
    """Unix time, for people."""
    tenant: str = DEFAULT_TENANT
    key: str | None = None
    """The name of the key that it came with."""
    ceiling: Tier | None = None
    """The highest tier that the key may use; None is any."""
    is_local_only: bool = False
    """Whether the key forbids upstreams of dialect litellm."""
    models: frozenset[str] | None = None
    """The upstreams, by name or model, that the key may use; None is all of them."""
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
    template_kwargs: Mapping[str, object] = {}
    """The client's own `chat_template_kwargs`, which a thinking switch is laid over."""
    waits_for_energy: bool = False
    """`x-jevons-energy: final`."""
    headers: Mapping[str, str] = {}
    """The client's headers that may be passed on, names in lower case."""


class Reason(Struct, frozen=True, gc=False):
    """One policy's word on one request. `word` is a rule's name or a score, ASCII, never prompt text."""

    policy: str
    word: str
    to: str
    """`direct`, `reasoning` or an upstream's name; empty where the policy had nothing to say."""

    def __str__(self) -> str:
        return f"{self.policy}:{self.word};to={self.to}" if self.to else f"{self.policy}:{self.word}"


class Thinking(Struct, frozen=True, gc=False):
    """How much a model shall think that does: at an effort, or within a budget of tokens. Servers know one or the other."""

    effort: str | None = None
    """`low`, `medium` or `high`."""
    budget_tokens: int | None = None
    repairs_content: bool = False
    """Whether an answer that the server put where thinking belongs is put where answers belong."""


class Target(Struct, frozen=True, gc=False):
    """One place a request may go: an upstream, with its thinking switched where it has a switch."""

    upstream: Upstream
    thinking: bool | None = None
    """None leaves the server's default."""
    how: Thinking | None = None
    """How much, where that was said."""

    @property
    def tier(self) -> Tier:
        """Whether an answer from here thinks first."""
        if self.thinking is None:
            return Tier.DIRECT if self.upstream.reasoning is Reasoning.NEVER else Tier.REASONING
        return Tier.REASONING if self.thinking else Tier.DIRECT


class Plan(Struct, frozen=True, gc=False):
    """Where a request may go, best first, and why. Empty `candidates`: nobody has decided yet."""

    candidates: tuple[Target, ...] = ()
    reasons: tuple[Reason, ...] = ()
    decision: str = ""
    """For counting: `direct`, `reasoning`, `pinned`, `unsure`; set by whoever decided."""
    ceiling: Tier | None = None
    """The highest tier that it may still be moved to; None is any."""

    def because(self, reason: Reason) -> Plan:
        """The same plan with one more reason."""
        return Plan(self.candidates, (*self.reasons, reason), self.decision, self.ceiling)

    def sent_to(self, candidates: tuple[Target, ...], reason: Reason, decision: str) -> Plan:
        """The plan once a policy has decided."""
        return Plan(candidates, (*self.reasons, reason), decision, self.ceiling)

    @property
    def decisive(self) -> Reason | None:
        """The word that settled where it goes: the last one that names a target."""
        for reason in reversed(self.reasons):
            if reason.to:
                return reason
        return None

    @property
    def route(self) -> str:
        """As `x-jevons-route` gives it, `<policy>:<rule or score>;to=<upstream>` in printable ASCII; empty while undecided."""
        reason = self.decisive
        if reason is None:
            return ""
        to = self.candidates[0].upstream.name if self.candidates else reason.to
        return write_route(reason.policy, reason.word, to)


class Outcome(StrEnum):
    """How a request, or one try of it, ended."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    UPSTREAM_ERROR = "upstream_error"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Usage(Struct, frozen=True, gc=False):
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


class Energy(Struct, frozen=True):
    """What one request, or one try, consumed. `joules` None is unknown, and then so are the method and the bounds."""

    joules: Joules | None = None
    low: Joules | None = None
    high: Joules | None = None
    method: Method | None = None
    status: EnergyStatus = EnergyStatus.FINAL
    scope: str | None = None
    quality: tuple[str, ...] = ()
    gco2e: GramsCO2e | None = None
    intensity: Intensity | None = None
    """Of the grid, from which `gco2e` was made."""

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


class Attempt(Struct, frozen=True, gc=False):
    """One try at one upstream."""

    upstream: str
    outcome: Outcome | None
    """None while it goes on."""
    usage: Usage
    energy: Energy
    cost_usd: float | None = None
    """What a provider charges for it, by list price; None is unknown."""


class Record(Struct, frozen=True, gc=False):
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
    traceparent: str | None = None
    session: str | None = None
    """As the client calls it."""
    prompt: str | None = None
    """The conversation, for whoever was told to keep it; else None."""
    holdout_of: str | None = None
    """The request of which this is the other arm: nobody asked for it, and nobody is charged."""

    def __repr__(self) -> str:
        """Without the prompt, which is for nobody else."""
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "prompt")
        return f"Record({shown})"
