"""The sections of `policies`: one class to a policy, and `Policies`, the list of them; what each does is in docs/routing.md."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import time
from importlib import import_module
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias, cast
from zoneinfo import ZoneInfo

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    InstanceOf,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from jevons.policies.budget import QUEUE_SECONDS, RESERVE_JOULES, Per, Then, Window
from jevons.policies.difficulty import MARGIN
from jevons.policies.escalate import REFUSALS, SIGNALS
from jevons.policies.hours import DAYS
from jevons.policies.policy import Policy
from jevons.policies.score.trees import Trees, read_trees, shipped
from jevons.policies.session import IDLE_SECONDS

from .config_values import ExistingFile, Words
from .pattern import MAX_CHARACTERS, Pattern
from .sections import Label, Section

PLUG_IN: Final = "package.module:Class"
_MINUTES_PER_DAY: Final = 24 * 60
_MINUTES_PER_HOUR: Final = 60

Effort: TypeAlias = Literal["low", "medium", "high"]
Level: TypeAlias = Effort | PositiveInt


def _pattern(value: object) -> Pattern:
    if isinstance(value, Pattern):
        return value
    if isinstance(value, str):
        return Pattern(value)
    raise PydanticKnownError("string_type")


def _clock(value: object) -> object:
    """`18:00`, which YAML takes for the number 1080 where it is not in quotes."""
    if isinstance(value, int) and _MINUTES_PER_HOUR <= value < _MINUTES_PER_DAY:
        return time(*divmod(value, _MINUTES_PER_HOUR))
    try:
        return time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a time of the day such as 08:00") from None


def _zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, KeyError):
        raise ValueError("must be a time zone that this system knows, such as Europe/Berlin") from None


def _unquoted_off(value: object) -> object:
    """`off`, which YAML takes for false where it is not in quotes."""
    return "off" if value is False else value


WordList: TypeAlias = Annotated[tuple[Words, ...], Field(min_length=1)]
Regex: TypeAlias = Annotated[
    InstanceOf[Pattern],
    BeforeValidator(_pattern),
    PlainSerializer(lambda pattern: pattern.source, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}),
]
Clock: TypeAlias = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "examples": ["08:00"]})]
Zone: TypeAlias = Annotated[
    InstanceOf[ZoneInfo],
    BeforeValidator(_zone),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]}),
]
LevelOrOff: TypeAlias = Annotated[Literal["off"] | Level, BeforeValidator(_unquoted_off)]


class PolicySection(Section):
    """What every policy has."""

    shadow: bool = Field(default=False, description="Ask it and show its word in the record, but do nothing that it says")


class PromptTokensSection(Section):
    """A range of prompt lengths, both ends included."""

    min: NonNegativeInt | None = None
    max: NonNegativeInt | None = None

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not exceed max")
        return self


class HoursSection(Section):
    """A time of the day, over midnight where `before` is not after `after`."""

    after: Clock = Field(time(0), description="From when on, included")
    before: Clock = Field(time(0), description="Until when, excluded")
    days: Annotated[tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], Field(min_length=1)] = DAYS
    zone: Zone = Field(ZoneInfo("UTC"), description="Whose clock")


class WhenSection(Section):
    """The conditions of a rule: every one that is given must hold."""

    keywords: WordList | None = Field(None, description="Any of these, as whole words, in either case")
    regex: Regex | None = Field(None, description="Rust's regex syntax: linear time, no look-around, no back-references")
    prompt_tokens: PromptTokensSection | None = None
    has: Annotated[tuple[Literal["code", "tools", "images", "json_schema"], ...], Field(min_length=1)] | None = Field(
        None, description="All of these"
    )
    system: WordList | None = Field(None, description="Any of these, as whole words, in the system prompt")
    language: Annotated[tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")], ...], Field(min_length=1)] | None = Field(
        None, description="One of these, as far as it can be told: en, de, fr, es, it, pt, nl, pl, sv, tr, ru, uk, zh, ja, ko, …"
    )
    tenant: Annotated[tuple[Label, ...], Field(min_length=1)] | None = Field(None, description="One of these")
    hours: HoursSection | None = None

    @model_validator(mode="after")
    def _has_condition(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(f"give at least one of {', '.join(type(self).model_fields)}")
        return self


class RuleSection(Section):
    """Requests that meet `when` go `to`."""

    name: Label = Field(description="Shown in x-jevons-route and in reasons")
    when: WhenSection
    to: str = Field(description="direct, reasoning or an upstream's name")


class RulesSection(PolicySection):
    """The first rule that holds decides."""

    type: Literal["rules"]
    rules: tuple[RuleSection, ...] = Field(min_length=1)


class CallerSection(Section):
    """The caller's own word decides: x-jevons-tier, reasoning_effort."""

    type: Literal["caller"]


class PriceSection(Section):
    """What a joule counts: a constant, times what the others make of the moment."""

    constant: NonNegativeFloat = 1.0
    carbon_gco2e_per_kwh: PositiveFloat | None = Field(None, description="The intensity at which a joule counts once")
    power_cap_watts: PositiveFloat | None = Field(None, description="It counts 1 / (1 - power / cap)")
    queue_requests: PositiveInt | None = Field(
        None, description="In flight at the reasoning upstream: with so many it counts twice"
    )


class GainSection(PolicySection):
    """Reasons where what is likely to be won is worth the joules that it takes."""

    type: Literal["gain"]
    value_joules: PositiveFloat = Field(description="What a right answer instead of a wrong one is worth")
    price: PriceSection = PriceSection()


class DifficultySection(PolicySection):
    """The embedded score of the last user turn decides, or is unsure."""

    type: Literal["difficulty"]
    threshold: float | None = Field(None, gt=0, lt=1, description="Reasoning from this probability on; omitted: the model's own")
    unsure: float = Field(MARGIN, ge=0, lt=0.5, description="A score this close to the threshold decides nothing")
    model: ExistingFile | None = Field(None, description="A score made by `jevons route tune`; omitted: the one that is shipped")

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        """Read it now, so that what cannot be used is told with its line."""
        self.read_model()
        return self

    def read_model(self) -> Trees:
        """The score; raises ValueError with what is wrong with the file."""
        if self.model is None:
            return shipped()
        try:
            return read_trees(self.model.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.model}: {error}") from None


class SessionSection(PolicySection):
    """A conversation keeps its tier and only moves up."""

    type: Literal["session"]
    idle_seconds: PositiveFloat = Field(IDLE_SECONDS, description="After which a conversation begins anew")


class BudgetRuleSection(Section):
    """One budget."""

    name: Label
    joules: PositiveFloat
    per: Per = Per.TENANT
    window: Window = Field(Window.DAY, description="Of UTC")
    then: Then = Field(Then.DOWNGRADE, description="What happens to a request for which too little is left")
    tenants: Annotated[tuple[Label, ...], Field(min_length=1)] | None = Field(None, description="Whom it is for; omitted: all")
    queue_seconds: PositiveFloat = Field(QUEUE_SECONDS, description="How long `queue` holds a request before it refuses it")


class BudgetSection(PolicySection):
    """Joules per tenant, per key or for all, in each minute, hour or day."""

    type: Literal["budget"]
    budgets: tuple[BudgetRuleSection, ...] = Field(min_length=1)
    reserve_joules: PositiveFloat = Field(RESERVE_JOULES, description="Held for a request while its cost cannot be estimated")


class ThinkingSection(PolicySection):
    """How much a model thinks that does."""

    type: Literal["thinking"]
    level: Level | None = Field(None, description="low, medium, high, or a budget in tokens")
    upstreams: dict[str, LevelOrOff] = Field({}, description="By upstream's name; also off, where nobody said which tier")
    needs_tokens: NonNegativeInt = Field(1024, description="A max_tokens below this goes direct: it would cut the thinking short")
    repair: bool = Field(default=False, description="Put an answer that came as reasoning, thinking being off, into content")


class EscalateSection(Section):
    """A direct answer that will not do is thrown away, and reasoning gets its turn. Whole replies only."""

    type: Literal["escalate"]
    on: Annotated[tuple[Literal["length", "refusal", "json", "tools"], ...], Field()] = SIGNALS
    mean_logprob_below: float | None = Field(None, le=0, description="Only where the client asked for logprobs")
    refusals: tuple[Words, ...] = Field(REFUSALS, description="How refusals begin")


class FallbackSection(PolicySection):
    """Who is next where the first choice cannot be reached."""

    type: Literal["fallback"]
    to: tuple[str, ...] = Field((), description="Upstreams, in this order; omitted: every other, those of the tier first")


class PlugInSection(PolicySection):
    """A policy of your own: a class that is made with `options`."""

    tag: ClassVar[str] = PLUG_IN
    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
    options: dict[str, Any] = Field({}, description="The keywords that the class is made with")

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        """Import it now, so that what cannot be found is told with its line."""
        try:
            self.make()
        except ImportError as error:
            raise PydanticCustomError("plug_in", "cannot be imported: {reason}", {"reason": str(error)}) from error
        except (TypeError, ValueError) as error:
            raise PydanticCustomError("plug_in", "cannot be made: {reason}", {"reason": str(error)}) from error
        return self

    def make(self) -> Policy:
        """The policy; raises ImportError, TypeError or ValueError."""
        module, _, name = self.type.partition(":")
        kind = getattr(import_module(module), name, None)
        if not inspect.isclass(kind):
            raise ImportError(f"{module} has no class {name}")
        policy = cast("Policy", kind(**self.options))
        if not isinstance(getattr(policy, "name", None), str) or not callable(getattr(policy, "decide", None)):
            raise TypeError("a policy has a `name` and a method `decide`")
        return policy


def _kind(value: object) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return PLUG_IN if isinstance(kind, str) and ":" in kind else kind


AnyPolicy: TypeAlias = Annotated[
    Annotated[RulesSection, Tag("rules")]
    | Annotated[CallerSection, Tag("caller")]
    | Annotated[DifficultySection, Tag("difficulty")]
    | Annotated[GainSection, Tag("gain")]
    | Annotated[SessionSection, Tag("session")]
    | Annotated[BudgetSection, Tag("budget")]
    | Annotated[ThinkingSection, Tag("thinking")]
    | Annotated[EscalateSection, Tag("escalate")]
    | Annotated[FallbackSection, Tag("fallback")]
    | Annotated[PlugInSection, Tag(PLUG_IN)],
    Discriminator(_kind),
]
Policies: TypeAlias = tuple[AnyPolicy, ...]


class HoldoutSection(Section):
    """A sample of the routed requests that is asked of the other tier too, so that what routing saves is measured."""

    share: float = Field(gt=0, le=0.5, description="Of routed requests; 0.01 is one in a hundred")
    at_once: PositiveInt = Field(1, description="How many may run side by side; while so many do, none is drawn")
