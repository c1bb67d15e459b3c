"""`study.yaml` as typed sections: arms, prompts, and how to ask them. Data and checks, nothing that opens or starts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from ..config_values import Secret, Url, Words
from ..marked_yaml import read_text, read_yaml
from ..sections import Label, Section, validated

DEFAULT_PROMPTS: Final = "article"
_COSMETIC: Final = frozenset({"judge", "keep_answers", "proxy", "upstreams", "pause_seconds", "idle_seconds", "settle_seconds"})
"""What may change between a run and its continuation: where the servers are, not what they are asked."""


class EstimateSection(Section):
    """An arm whose energy nobody here can measure: its tokens times a range of joules per token, and where that comes from."""

    low_joules_per_token: PositiveFloat
    high_joules_per_token: PositiveFloat
    basis: Words = Field(description="Why this range; it stands in the report")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_joules_per_token > self.high_joules_per_token:
            raise ValueError("low_joules_per_token is above high_joules_per_token")
        return self


class ImposeSection(Section):
    """Lengths for a model whose own say nothing, such as one of random weights."""

    mean_tokens: PositiveFloat
    sigma: NonNegativeFloat = Field(0.0, description="Of the logarithm; 0 gives every prompt the same length")
    ignore_eos: bool = Field(default=False, description="Send ignore_eos, which vLLM and SGLang know and others refuse")


class ArmSection(Section):
    """One of the things compared: a model, with its thinking on or off."""

    name: Label
    model: Words = Field(description="An upstream's name or model, or auto for whatever the proxy's policies choose")
    thinking: bool | None = Field(None, description="Switches a model that can do both; omitted: as the server does by itself")
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(None, description="reasoning_effort")
    body: dict[str, Any] = Field({}, description="More fields of the request, as the server takes them")
    impose: ImposeSection | None = None
    estimate: EstimateSection | None = None


class ProxySection(Section):
    """A jevons that runs already."""

    base_url: Url = Field(description="Its main listener, such as http://127.0.0.1:8800")
    admin: Url = Field(description="Its admin listener, such as http://127.0.0.1:9464")
    api_key: Secret | None = None
    admin_token: Secret | None = None


class JudgeSection(Section):
    """A model that reads the answers afterwards, through the same proxy; its joules are in no arm."""

    model: Words
    max_tokens: PositiveInt = 512


class StudySection(Section):
    """One study."""

    name: Words = "study"
    proxy: ProxySection | None = None
    upstreams: tuple[dict[str, Any], ...] | None = Field(
        None, description="As in config.yaml: the study starts a proxy of its own"
    )
    simulated: bool = Field(default=False, description="Start the demo's simulated servers and proxy instead")
    arms: Annotated[tuple[ArmSection, ...], Field(min_length=1)]
    baseline: Label | None = Field(None, description="The arm that others are compared with; omitted: the first")
    prompts: Words = Field(DEFAULT_PROMPTS, description="article, tasks, or a JSON Lines file beside the study")
    categories: tuple[Words, ...] | None = None
    limit: PositiveInt | None = Field(None, description="Take so many prompts, spread evenly")
    repetitions: PositiveInt = 1
    concurrency: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    seed: NonNegativeInt = 1
    temperature: NonNegativeFloat | None = None
    max_tokens: PositiveInt = 4096
    system: str | None = Field(None, description="A system message before every prompt")
    sends_seed: bool = Field(default=True, description="Send seed + repetition as the sampling seed")
    warmup_requests: NonNegativeInt = 2
    settle_seconds: NonNegativeFloat = Field(60.0, description="At most so long until the idle power holds still")
    idle_seconds: NonNegativeFloat = Field(20.0, description="How long to watch the idle devices before and after")
    pause_seconds: NonNegativeFloat = Field(0.5, description="Between two requests at concurrency 1")
    request_seconds: PositiveFloat = Field(3600.0, description="A request that takes longer has failed")
    keep_answers: bool = False
    judge: JudgeSection | None = None

    @model_validator(mode="after")
    def _one_proxy(self) -> Self:
        given = [self.proxy is not None, self.upstreams is not None, self.simulated]
        if sum(given) != 1:
            raise ValueError("give one of proxy, upstreams and simulated: true")
        return self

    @model_validator(mode="after")
    def _known_arms(self) -> Self:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError("two arms have the same name")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline: {self.baseline!r} is none of the arms {', '.join(names)}")
        if len(set(self.concurrency)) != len(self.concurrency):
            raise ValueError("concurrency: a level is given twice")
        return self

    @property
    def baseline_arm(self) -> str:
        """The arm that the others are compared with."""
        return self.baseline or self.arms[0].name

    def arm(self, name: str) -> ArmSection:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


class Study:
    """A study, where its files are sought, and its upstreams as they were written, so that no key is copied."""

    def __init__(self, section: StudySection, folder: Path, upstreams: list[dict[str, Any]] | None) -> None:
        self.section = section
        self.folder = folder
        self.upstreams = upstreams

    def public(self) -> dict[str, object]:
        """The study as the raw file keeps it: without keys, tokens and addresses."""
        fields: dict[str, object] = self.section.model_dump(mode="json", exclude={"proxy", "upstreams"}, exclude_defaults=True)
        return fields

    def fingerprint(self, prompts_hash: str) -> str:
        """Sixteen hex digits that change with whatever makes two halves of a study incomparable."""
        fields = self.section.model_dump(mode="json", exclude=set(_COSMETIC))
        return hashlib.sha256(json.dumps([fields, prompts_hash], sort_keys=True).encode()).hexdigest()[:16]


def load_study(path: Path, environment: Mapping[str, str] | None = None) -> Study:
    """The study in the file `path`. Raises ConfigError, every problem at once."""
    return parse_study(read_text(path), source=str(path), folder=path.parent, environment=environment)


def parse_study(
    text: str, *, source: str = "study.yaml", folder: Path = Path(), environment: Mapping[str, str] | None = None
) -> Study:
    """The study in `text`; `${NAME}` in its values comes from the environment. Raises ConfigError."""
    document = read_yaml(text, os.environ if environment is None else environment)
    data = {} if document.data is None else document.data
    section = validated(document, source, StudySection, lambda: StudySection.model_validate(data, context={"folder": folder}))
    written = read_yaml(text).data
    upstreams = written.get("upstreams") if isinstance(written, dict) else None
    return Study(section, folder, upstreams if isinstance(upstreams, list) else None)
