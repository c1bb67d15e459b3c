"""Tests of how the OpenTelemetry exporter is made."""

import sys

import pytest

from jevons.exporters.otel import OtelExporter
from jevons.proxy.config_otel import OtelSection
from jevons.proxy.errors import JevonsError
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.otel_factory import make_otel

SECTION = OtelSection(endpoint="http://127.0.0.1:9")


async def test_it_is_made_of_the_section():
    """And ends without having sent anything."""
    made = make_otel(SECTION, MeteringState, "1")
    assert isinstance(made, OtelExporter)
    made._traces.shutdown()
    made._meters.shutdown()


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    """The name of the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    monkeypatch.delitem(sys.modules, "jevons.exporters.otel", raising=False)
    with pytest.raises(JevonsError, match=r"pip install 'jevons\[otel\]'"):
        make_otel(SECTION, MeteringState, "1")
