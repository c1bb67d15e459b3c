"""Tests of the OpenAPI document: it names the paths that are served, and no others."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator

from jevons.proxy.exchange import Endpoint, Energy, EnergyStatus, Method, Outcome, Record, Usage
from jevons.proxy.records import record_json
from jevons.proxy.server.edge import Door
from jevons.proxy.server.openapi import openapi, openapi_bytes
from jevons.proxy.server.surface import Limits, Surface

DOCUMENT = openapi("1.2.3")


class NoPipeline:
    """Nobody asks it for anything but its version."""

    version = "1.2.3"


def test_it_has_every_path_that_is_served():
    """And no other: both are read from the same application."""
    app = Surface(NoPipeline(), None, {}, Limits()).app(Door(None))
    served = {
        (re.sub(r"{(\w+):?[^}]*}", "{}", route.resource.canonical), route.method.lower())
        for route in app.router.routes()
        if route.resource is not None
    }
    described = {
        (re.sub(r"{\w+}", "{}", path), method) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert described == served
    assert {endpoint.value for endpoint in Endpoint} <= DOCUMENT["paths"].keys()


def test_it_is_of_this_version():
    """As JSON, with every reference within it."""
    assert json.loads(openapi_bytes("1.2.3"))["info"]["version"] == "1.2.3"
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', openapi_bytes("1").decode()):
        place = DOCUMENT
        for part in reference.split("/"):
            place = place[part]


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_a_record_is_as_described(outcome):
    """With energy known and unknown."""
    known = Energy(2.0, 1.0, 3.0, Method.MEASURED, EnergyStatus.FINAL, "gpu", ("resolution",), gco2e=0.1)
    schema = {**DOCUMENT["components"]["schemas"]["Record"], "components": DOCUMENT["components"]}
    for energy in (known, Energy()):
        record = Record("r", "default", Endpoint.CHAT, 0.0, energy=energy, usage=Usage(prompt=1), outcome=outcome)
        Draft202012Validator(schema).validate(record_json(record))
