"""What must hold between the parts of a configuration: names, targets, listeners.

These look at the data as it was written and pass over whatever has not the expected shape, which the sections report: so
that one reading finds every problem, those within a section and those between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from .address import Address, parse_address
from .exchange import Reasoning, Tier
from .sections import hint

Location: TypeAlias = tuple[str | int, ...]
"""As pydantic writes it: in a policy, the type comes before its keys."""

DEFAULT_LISTEN: Final = "127.0.0.1:8800"
DEFAULT_ADMIN: Final = "127.0.0.1:9464"
RESERVED_NAMES: Final = frozenset({"auto", Tier.DIRECT.value, Tier.REASONING.value})

_TIERS_SERVED: Final[Mapping[str, frozenset[str]]] = {
    Reasoning.NEVER: frozenset({Tier.DIRECT}),
    Reasoning.ALWAYS: frozenset({Tier.REASONING}),
    Reasoning.SWITCHABLE: frozenset(Tier),
}
_REPEATABLE: Final = frozenset({"rules"})
"""The policies that may be listed more than once; plug-ins may too."""
_TRUE_WORDS: Final = frozenset({"1", "on", "t", "true", "y", "yes"})


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be run, and where."""

    location: Location
    message: str
    at_key: bool = False
    """Whether the key itself is at fault, rather than its value."""


def check(raw: object) -> Iterator[Finding]:
    """Everything wrong between the parts of `raw`, a mapping of what was written or of sections."""
    yield from _names(raw)
    yield from _targets(raw)
    yield from _policies(raw)
    yield from _listeners(raw)


def _names(raw: object) -> Iterator[Finding]:
    first: dict[str, int] = {}
    models = [_get(upstream, "model") for upstream in _items(raw, "upstreams")]
    for index, upstream in enumerate(_items(raw, "upstreams")):
        name = _get(upstream, "name")
        if not isinstance(name, str):
            continue
        location = ("upstreams", index, "name")
        if name.lower() in RESERVED_NAMES:
            yield Finding(location, "auto, direct and reasoning have a meaning of their own; choose another name")
        elif name in first:
            yield Finding(location, f"the name of upstreams.{first[name]} already")
        elif any(name == model for other, model in enumerate(models) if other != index and models[index] != model):
            yield Finding(location, "the model of another upstream, so that asking for it would be ambiguous")
        first.setdefault(name, index)


def _targets(raw: object) -> Iterator[Finding]:
    upstreams = _items(raw, "upstreams")
    if not upstreams:
        return
    names = [name for upstream in upstreams if isinstance(name := _get(upstream, "name"), str)]
    served: set[str] = set()
    for upstream in upstreams:
        served |= _TIERS_SERVED.get(str(_get(upstream, "reasoning", Reasoning.NEVER.value)), frozenset(Tier))
    for location, target in _written_targets(raw):
        if target in set(Tier):
            if target not in served:
                kinds = [kind for kind, tiers in _TIERS_SERVED.items() if target in tiers]
                yield Finding(location, f"nobody serves {target}: that takes an upstream with reasoning: {' or '.join(kinds)}")
        elif target not in names:
            known = list(dict.fromkeys([*Tier, *names]))
            yield Finding(location, f"names no upstream; known are {', '.join(known)}{hint(target, known)}")


def _written_targets(raw: object) -> Iterator[tuple[Location, str]]:
    default = _get(raw, "default", Tier.DIRECT.value)
    if isinstance(default, str):
        yield ("default",), default
    for index, policy in enumerate(_items(raw, "policies")):
        if _get(policy, "type") == "rules":
            for number, rule in enumerate(_items(policy, "rules")):
                target = _get(rule, "to")
                if isinstance(target, str):
                    yield ("policies", index, "rules", "rules", number, "to"), target


def _policies(raw: object) -> Iterator[Finding]:
    """Policies given twice that can be there once, and upstreams in them that cannot do what is said of them."""
    upstreams = _items(raw, "upstreams")
    kinds = {str(_get(upstream, "name")): str(_get(upstream, "reasoning", Reasoning.NEVER.value)) for upstream in upstreams}
    first: dict[str, int] = {}
    for index, policy in enumerate(_items(raw, "policies")):
        kind = _get(policy, "type")
        if not isinstance(kind, str) or kind in _REPEATABLE or ":" in kind:
            continue
        if first.setdefault(kind, index) != index:
            yield Finding(("policies", index, kind, "type"), f"{kind} is policies.{first[kind]} already")
        levels = _get(policy, "upstreams") if kind == "thinking" else None
        for name, level in levels.items() if isinstance(levels, Mapping) else ():
            location = ("policies", index, kind, "upstreams", name)
            reasoning = kinds.get(name)
            if reasoning is None:
                yield Finding(location, f"names no upstream{hint(name, kinds)}", at_key=True)
            elif reasoning == Reasoning.NEVER:
                yield Finding(location, "its reasoning is never, so there is nothing to set", at_key=True)
            elif reasoning == Reasoning.ALWAYS and level in ("off", False):
                yield Finding(location, "its reasoning is always: it cannot be switched off")
        for place, name in enumerate(_items(policy, "to") if kind == "fallback" else ()):
            if isinstance(name, str) and name not in kinds:
                yield Finding(("policies", index, kind, "to", place), f"names no upstream{hint(name, kinds)}")


def _listeners(raw: object) -> Iterator[Finding]:
    listen = _address(_get(raw, "listen", DEFAULT_LISTEN))
    admin = _address(_get(raw, "admin", DEFAULT_ADMIN))
    has_token, is_public = _get(raw, "admin_token") is not None, _is_true(_get(raw, "admin_public"))
    if listen and admin and listen.collides_with(admin):
        yield Finding(("admin",), "the same port as listen; the two must differ")
    if listen and not listen.is_loopback and _get(raw, "auth") is None:
        yield Finding(("listen",), "beyond this machine: give auth.keys_file, or auth.allow_anonymous: true")
    if admin and not admin.is_loopback and not has_token and not is_public:
        yield Finding(("admin",), "beyond this machine: give admin_token, or admin_public: true")
    if has_token and is_public:
        yield Finding(("admin_public",), "contradicts admin_token; give one of them")


def _address(value: object) -> Address | None:
    if isinstance(value, Address):
        return value
    try:
        return parse_address(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _is_true(value: object) -> bool:
    return str(value).lower() in _TRUE_WORDS


def _get(value: object, key: str, default: object = None) -> object:
    """The value of `key` in a mapping, or in a section that has been made already."""
    found = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
    return default if found is None else found


def _items(value: object, key: str) -> Sequence[object]:
    found = _get(value, key)
    return found if isinstance(found, (list, tuple)) else ()
