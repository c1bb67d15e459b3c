"""Who a bearer token belongs to: the keys file holds digests, so that reading it gives nobody a key.

- {name: "laptop", tenant: "alice", sha256: "9f86d0…"}
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, Field, PositiveFloat, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from .config_values import Words
from .errors import ConfigError
from .exchange import DEFAULT_TENANT, Tier
from .identity import Identity
from .marked_yaml import read_text, read_yaml
from .sections import LABEL_MESSAGE, Label, Section, is_label, validated

if TYPE_CHECKING:
    from pathlib import Path

PREFIX: Final = "jev-"
SECRET_BYTES: Final = 32


class KeyEntry(Section):
    """One key. `tenant` is whose records and energy it reads and writes; several keys may share one."""

    name: Label
    tenant: Label
    tier: Tier | None = None
    """The highest that its holder may use; None is any."""
    cloud: bool = True
    """Whether its requests may go to upstreams of dialect litellm."""
    models: tuple[Words, ...] | None = Field(None, min_length=1)
    """The upstreams, by name or model, that its holder may use; None is all of them."""
    requests_per_minute: PositiveFloat | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Keys:
    """The entries by digest."""

    entries: Mapping[str, KeyEntry]

    @property
    def tenants(self) -> tuple[str, ...]:
        """Every tenant once, in the order of the file."""
        return tuple(dict.fromkeys(entry.tenant for entry in self.entries.values()))

    def identity_of(self, bearer: str) -> Identity | None:
        """Whose key `bearer` is; None for one that nobody holds."""
        digest = digest_of(bearer)
        entry = self.entries.get(digest)
        if entry is None or not hmac.compare_digest(entry.sha256, digest):
            return None
        return Identity(
            entry.tenant,
            entry.name,
            entry.tier,
            is_local_only=not entry.cloud,
            models=None if entry.models is None else frozenset(entry.models),
            requests_per_minute=entry.requests_per_minute,
        )


class CurrentKeys:
    """The keys as the file was last read: a listener holds on to this while a reload changes what is in it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def identity_of(self, bearer: str) -> Identity | None:
        """As `Keys.identity_of`."""
        return self.keys.identity_of(bearer)


def tenants_of(keys: CurrentKeys | None) -> tuple[str, ...]:
    """Who may be named: the tenants of the keys, or everybody without one."""
    return (DEFAULT_TENANT,) if keys is None else keys.keys.tenants


def load_keys(path: Path) -> Keys:
    """The keys in the YAML file `path`; raises ConfigError with every problem as `file:line:column: path: message`."""
    return parse_keys(read_text(path), source=str(path))


def parse_keys(text: str, *, source: str = "keys.yaml") -> Keys:
    """The keys in `text`, at least one; raises ConfigError."""
    document = read_yaml(text)
    data = [] if document.data is None else document.data
    entries = validated(document, source, KeyEntry, lambda: _adapter().validate_python(data))
    return Keys({entry.sha256: entry for entry in entries})


def new_key(tenant: str, name: str) -> tuple[str, str]:
    """A fresh key, to be shown once, and the line for the keys file; raises ConfigError where either is no label."""
    problems = [f"{text!r}: {LABEL_MESSAGE}" for text in (tenant, name) if not is_label(text)]
    if problems:
        raise ConfigError(problems)
    key = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    entry = KeyEntry(name=name, tenant=tenant, sha256=digest_of(key))
    fields = ", ".join(f"{field}: {json.dumps(value)}" for field, value in entry.model_dump(exclude_defaults=True).items())
    return key, f"- {{{fields}}}\n"


def digest_of(key: str) -> str:
    """SHA-256 in lower-case hexadecimal; a key of 256 random bits needs no salt."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _adapter() -> TypeAdapter[tuple[KeyEntry, ...]]:
    return TypeAdapter(Annotated[tuple[KeyEntry, ...], AfterValidator(_unambiguous)])


def _unambiguous(entries: tuple[KeyEntry, ...]) -> tuple[KeyEntry, ...]:
    if not entries:
        raise PydanticCustomError("no_keys", "no keys; `jevons keys new` makes one")
    errors = []
    for field in ("name", "sha256"):
        first: dict[str, int] = {}
        for index, entry in enumerate(entries):
            original = first.setdefault(getattr(entry, field), index)
            if original != index:
                kind = PydanticCustomError(
                    "twice", "the {field} of entry {original} already", {"field": field, "original": original}
                )
                errors.append(InitErrorDetails(type=kind, loc=(index, field), input=None))
    if errors:
        raise ValidationError.from_exception_data("Keys", errors, hide_input=True)
    return entries
