"""What must hold between the parts of a configuration."""

from __future__ import annotations

import pytest

from jevons.proxy.address import Address
from jevons.proxy.config_checks import check


def upstream(name, model="m", **more):
    return {"name": name, "url": "http://127.0.0.1:1/v1", "model": model, **more}


def rules(*targets):
    return {"type": "rules", "rules": [{"name": f"r{number}", "to": target} for number, target in enumerate(targets)]}


def found(raw):
    return [(finding.location, finding.message.split(":")[0].split(";")[0]) for finding in check(raw)]


def test_nothing_wrong():
    """A sound configuration has no findings."""
    raw = {"upstreams": [upstream("a"), upstream("b", reasoning="always")], "policies": [rules("b", "direct", "reasoning")]}
    assert found(raw) == []


@pytest.mark.parametrize("name", ["auto", "direct", "reasoning", "Auto"])
def test_reserved_names(name):
    """An upstream cannot take a name that has a meaning in a request."""
    assert found({"upstreams": [upstream(name)]}) == [
        (("upstreams", 0, "name"), "auto, direct and reasoning have a meaning of their own")
    ]


def test_names_stand_once():
    """The second upstream of a name is at fault."""
    assert found({"upstreams": [upstream("a"), upstream("b"), upstream("a")]}) == [
        (("upstreams", 2, "name"), "the name of upstreams.0 already")
    ]


def test_a_name_is_no_other_upstreams_model():
    """Asking for a model must not reach another one that happens to be called so."""
    assert found({"upstreams": [upstream("small", "x"), upstream("x", "y")]}) == [
        (("upstreams", 1, "name"), "the model of another upstream, so that asking for it would be ambiguous")
    ]
    assert found({"upstreams": [upstream("x", "x"), upstream("x2", "x")]}) == []


def test_targets_exist():
    """A rule and the default point to a tier or to an upstream, and a misspelt one is guessed."""
    raw = {"upstreams": [upstream("chat")], "policies": [{"type": "caller"}, rules("chat", "chta")], "default": "chatt"}
    assert [finding.message for finding in check(raw)] == [
        "names no upstream; known are direct, reasoning, chat, did you mean chat?",
        "names no upstream; known are direct, reasoning, chat, did you mean chat?",
    ]
    assert [finding.location for finding in check(raw)] == [("default",), ("policies", 1, "rules", "rules", 1, "to")]


@pytest.mark.parametrize(
    ("reasoning", "default", "nobody"),
    [
        ("never", "reasoning", "nobody serves reasoning"),
        ("always", "direct", "nobody serves direct"),
        ("always", None, "nobody serves direct"),
        ("never", None, None),
        ("switchable", "direct", None),
        ("switchable", "reasoning", None),
        ("sometimes", "reasoning", None),
    ],
)
def test_tiers_are_served(reasoning, default, nobody):
    """A tier that nobody serves is no target, not even by default; an upstream whose kind is misspelt may be anything."""
    raw = {"upstreams": [upstream("a", reasoning=reasoning)], "default": default}
    assert found(raw) == ([] if nobody is None else [(("default",), nobody)])


@pytest.mark.parametrize(
    ("raw", "location"),
    [
        ({"listen": "0.0.0.0:1"}, ("listen",)),
        ({"listen": "[::]:1"}, ("listen",)),
        ({"listen": Address("10.0.0.1", 1)}, ("listen",)),
        ({"listen": "gpu-box:1", "auth": None}, ("listen",)),
        ({"admin": "0.0.0.0:1"}, ("admin",)),
        ({"admin": "0.0.0.0:1", "admin_public": "no"}, ("admin",)),
        ({"admin": "127.0.0.1:8800"}, ("admin",)),
        ({"listen": "localhost:9464"}, ("admin",)),
        ({"admin_token": "x", "admin_public": True}, ("admin_public",)),
    ],
)
def test_listeners_at_fault(raw, location):
    """Beyond loopback a listener needs to know whom to serve, and the two listeners differ."""
    assert [where for where, _ in found(raw)] == [location]


@pytest.mark.parametrize(
    "raw",
    [
        {"listen": "localhost:1"},
        {"listen": "[::1]:1", "admin": "[::1]:2"},
        {"listen": "0.0.0.0:1", "auth": {"allow_anonymous": True}},
        {"admin": "0.0.0.0:1", "admin_token": "x"},
        {"admin": "0.0.0.0:1", "admin_public": "true"},
        {"listen": "nonsense", "admin": 5},
    ],
)
def test_listeners_without_fault(raw):
    """Loopback needs nothing, elsewhere one word suffices, and nonsense is for the section to report."""
    assert found(raw) == []


@pytest.mark.parametrize(
    "raw", [None, 5, "x", [], {"upstreams": 5}, {"upstreams": [1, None, "x"], "policies": [1, {"type": "rules", "rules": 3}]}]
)
def test_other_shapes_are_passed_over(raw):
    """What has not the expected shape is for the sections to report, and nothing is raised."""
    assert [where for where, _ in found(raw) if where[0] != "default"] == []
