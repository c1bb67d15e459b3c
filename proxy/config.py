"""The configuration as typed sections: data, defaults and limits, nothing that opens or starts.

`Config` cannot be made with a problem in it, within a section or between them (`config_checks`); read one from YAML with
`config_file`. Parts of the proxy never see a section: the factories in `app` turn each into what a part needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    ModelWrapValidatorHandler,
    NonNegativeFloat,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from .address import Address, parse_address
from .capacity import Capacity
from .config_checks import DEFAULT_ADMIN, DEFAULT_LISTEN, Finding, check
from .config_energy import CoefficientsSection, EnergySection
from .config_faults import FaultsSection, QueueSection
from .config_ledger import LedgerSection
from .config_otel import OtelSection
from .config_policies import HoldoutSection, Policies
from .config_tls import TlsSection
from .config_values import ExistingFile, Secret, Url, Words, is_secret
from .device_names import parse_device_name
from .errors import ConfigError
from .exchange import Dialect, Reasoning, Tier, Timeouts, Upstream
from .sections import BETWEEN, Label, Section

T = TypeVar("T")

MOST_WORKERS: Final = 256


def _line_error(finding: Finding) -> InitErrorDetails:
    kind = PydanticCustomError(BETWEEN, "{message}", {"message": finding.message, "at_key": finding.at_key})
    return InitErrorDetails(type=kind, loc=finding.location, input=None)


def _line_errors(error: ValidationError) -> list[InitErrorDetails]:
    """The same errors, for another error to hold; but none of a list being too short whose items are wrong, not missing."""
    errors = error.errors(include_url=False, include_input=False)
    parents = {one["loc"][:length] for one in errors for length in range(len(one["loc"]))}
    return [
        InitErrorDetails(type=PydanticCustomError(one["type"], one["msg"], one.get("ctx")), loc=one["loc"], input=None)
        for one in errors
        if one["type"] != "too_short" or one["loc"] not in parents
    ]


def _parsed(kind: type[T], parse: Callable[[str], T]) -> Callable[[object], T]:
    """A validator that takes what `parse` reads, or what has been parsed already."""

    def validate(value: object) -> T:
        if isinstance(value, kind):
            return value
        if isinstance(value, str):
            return parse(value)
        raise PydanticKnownError("string_type")

    return validate


def _workers(value: object) -> object:
    if value == "auto":
        return 0
    if value == 0 and not isinstance(value, str):
        raise ValueError("must be at least 1, or auto")
    return value


def _checked_device(text: str) -> str:
    return parse_device_name(text).text


def _listed(value: object) -> object:
    return ["all"] if value == "all" else value


Listener: TypeAlias = Annotated[
    InstanceOf[Address],
    BeforeValidator(_parsed(Address, parse_address)),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": [DEFAULT_LISTEN, "[::1]:8800"]}),
]
Devices: TypeAlias = Annotated[
    tuple[Annotated[Words, AfterValidator(_checked_device)], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


Workers: TypeAlias = Annotated[
    int,
    BeforeValidator(_workers),
    Field(ge=0, le=MOST_WORKERS),
    PlainSerializer(lambda workers: workers or "auto", return_type=int | Literal["auto"]),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_WORKERS}]}),
]
"""How many; 0 is `auto`."""


class AuthSection(Section):
    """Who may use the main listener: the holders of a key, or everybody."""

    keys_file: ExistingFile | None = Field(None, description="YAML list of {name, tenant, sha256}; see `jevons keys new`")
    allow_anonymous: bool = Field(default=False, description="Serve everybody who can reach the listener")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.keys_file is not None) == self.allow_anonymous:
            raise ValueError("give keys_file, or allow_anonymous: true")
        return self


class TimeoutsSection(Section):
    """How long to wait for an upstream at each stage; there is no limit on the whole."""

    connect_seconds: PositiveFloat = Timeouts().connect_seconds
    first_byte_seconds: PositiveFloat = Timeouts().first_byte_seconds
    idle_seconds: PositiveFloat = Timeouts().idle_seconds


class UpstreamSection(Section):
    """One model server."""

    name: Label = Field(description="A label; also a model name that clients may ask for")
    url: Url | None = Field(None, description="What precedes /chat/completions, such as http://127.0.0.1:8000/v1")
    urls: tuple[Url, ...] | None = Field(
        None, min_length=1, description="The same of several servers of one model, instead of url"
    )
    model: Words = Field(description="The name the server knows the model by")
    reasoning: Reasoning = Field(Reasoning.NEVER, description="Whether the model thinks before it answers")
    dialect: Dialect = Field(Dialect.AUTO, description="What kind of server it is; auto asks it")
    devices: Devices | None = Field(
        None, description="auto, all, cpu, UUIDs, PCI addresses, addresses of nodes; see docs/devices.md"
    )
    api_key: Secret | None = Field(None, description="Sent to the server as a bearer token; best as ${NAME}")
    api_key_file: ExistingFile | None = Field(None, description="A file that holds the key and nothing else")
    context_tokens: PositiveInt | None = Field(None, description="How many tokens of prompt and answer the server takes")
    abilities: tuple[Literal["tools", "images", "json_schema"], ...] | None = Field(None, description="Omitted: all of them")
    timeouts: TimeoutsSection = TimeoutsSection()
    max_concurrency: PositiveInt | None = Field(
        None, description="Requests that each server is given at once; omitted: any number"
    )
    queue: QueueSection = QueueSection()
    energy: CoefficientsSection | None = Field(None, description="Where the engine's energy model starts from, in joules")
    reassemble: bool = Field(default=False, description="Ask for JSON replies as streams, to meter them better; docs/metering.md")

    last_resort: bool | None = Field(
        None, description="Asked where nobody else can be, or by name; omitted: with dialect litellm only"
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.api_key_file is not None:
            raise ValueError("give api_key or api_key_file, not both")
        return self

    @model_validator(mode="after")
    def _where(self) -> Self:
        if (self.url is None) == (self.urls is None):
            raise ValueError("give url, or urls for several servers of one model")
        if self.urls is not None and len(set(self.urls)) != len(self.urls):
            raise ValueError("urls has an address twice")
        return self

    @property
    def is_last_resort(self) -> bool:
        """As written; else what is reached through litellm is."""
        return self.dialect is Dialect.LITELLM if self.last_resort is None else self.last_resort

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of its servers."""
        return self.urls or (self.url or "",)


class LimitsSection(Section):
    """What a client may take of the proxy's memory and patience."""

    body_bytes: PositiveInt = 32 * 1024 * 1024
    body_seconds: PositiveFloat = 60.0
    header_seconds: PositiveFloat = 15.0
    media: Literal["any", "data-only"] | tuple[Words, ...] | None = Field(
        None, description="Which addresses a request may name for the server to fetch; omitted: none beyond loopback, else any"
    )


class Config(Section):
    """All of it. Making one runs every check, so that what exists can be run."""

    listen: Listener = Field(parse_address(DEFAULT_LISTEN), description="Where the OpenAI surface listens")
    admin: Listener = Field(parse_address(DEFAULT_ADMIN), description="Where /metrics, /healthz and /readyz listen")
    admin_token: Secret | None = Field(None, description="Bearer token of the admin listener; best as ${NAME}")
    admin_public: bool = Field(default=False, description="Serve the admin listener beyond this machine without a token")
    auth: AuthSection | None = None
    tls: TlsSection | None = None
    upstreams: tuple[UpstreamSection, ...] = Field(min_length=1)
    policies: Policies = Field((), description="Asked in this order; the first that decides wins")
    holdout: HoldoutSection | None = None
    default: str = Field(Tier.DIRECT.value, description="What auto means when nobody decided: direct, reasoning or a name")
    workers: Workers = Field(1, description="Processes that serve; auto: one per core that may be used. See docs/operating.md")
    drain_seconds: NonNegativeFloat = Field(30.0, description="How long streams may take to finish at shutdown")
    energy: EnergySection = EnergySection()
    ledger: LedgerSection | None = None
    otel: OtelSection | None = None
    limits: LimitsSection = LimitsSection()
    faults: FaultsSection = FaultsSection()
    keep_alive_seconds: NonNegativeFloat = Field(
        15.0, description="A stream that is silent for so long gets a comment line, so that nobody takes it for dead; 0: never"
    )
    gather_milliseconds: float = Field(
        10.0, ge=0, le=1000, description="Under load tokens are read together on a tick this long; 0: each at once, always"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _check_between(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Report what is wrong between sections together with what is wrong within them."""
        errors = [_line_error(finding) for finding in check(raw)]
        try:
            config = handler(raw)
        except ValidationError as error:
            errors += _line_errors(error)
        if errors:
            raise ValidationError.from_exception_data("Config", errors, hide_input=True)
        return config


def to_upstreams(config: Config) -> tuple[Upstream, ...]:
    """The upstreams in the vocabulary of the exchange; reads the key files, and raises ConfigError for those it cannot use."""
    problems: list[str] = []
    upstreams = []
    for index, section in enumerate(config.upstreams):
        try:
            upstreams.append(_to_upstream(section))
        except (OSError, ValueError) as error:
            problems.append(f"upstreams.{index}.api_key_file: {error}")
    if problems:
        raise ConfigError(problems)
    return tuple(upstreams)


def _to_upstream(section: UpstreamSection) -> Upstream:
    api_key = section.api_key.get_secret_value() if section.api_key else None
    if section.api_key_file is not None:
        api_key = section.api_key_file.read_text(encoding="ascii").strip()
        if not is_secret(api_key):
            raise ValueError(f"{section.api_key_file} must hold one key and nothing else")
    return Upstream(
        name=section.name,
        base_url=section.addresses[0],
        model=section.model,
        reasoning=section.reasoning,
        dialect=section.dialect,
        devices=section.devices or (() if section.dialect is Dialect.LITELLM else ("auto",)),
        api_key=api_key,
        timeouts=Timeouts(**section.timeouts.model_dump()),
        context_tokens=section.context_tokens,
        abilities=None if section.abilities is None else frozenset(section.abilities),
        coefficients=section.energy.coefficients if section.energy else None,
        doubts=section.energy.doubts if section.energy else None,
        reassemble=section.reassemble,
        last_resort=section.is_last_resort,
        capacity=_to_capacity(section),
    )


def _to_capacity(section: UpstreamSection) -> Capacity:
    urls = section.addresses if len(section.addresses) > 1 else ()
    return Capacity(urls, section.max_concurrency, section.queue.requests, section.queue.seconds)


def config_hash(config: Config) -> str:
    """Sixteen hex digits that change with any setting but not with a secret, which they therefore cannot give away."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16]


def schema() -> dict[str, Any]:
    """The JSON Schema of `config.yaml`, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}


def schema_text() -> str:
    """The schema as `config.schema.json` holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
