"""The document at `/openapi.json`, from the page beside this module."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import yaml


def openapi(version: str) -> dict[str, Any]:
    """The document, of this version."""
    text = resources.files("jevons.proxy.server").joinpath("openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    document["info"]["version"] = version
    return document


def openapi_bytes(version: str) -> bytes:
    """The same as JSON."""
    return json.dumps(openapi(version)).encode()
