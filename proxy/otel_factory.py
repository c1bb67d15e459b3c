"""From the section `otel` of a configuration to the exporter, whose packages are imported only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .config_otel import OtelSection
from .errors import JevonsError
from .metering_state import MeteringState

if TYPE_CHECKING:
    from jevons.exporters.otel import OtelExporter


def make_otel(section: OtelSection, metering: Callable[[], MeteringState], version: str) -> OtelExporter:
    """The exporter. Raises JevonsError where what it takes is not installed."""
    try:
        from jevons.exporters.otel import OtelExporter, OtelSettings  # noqa: PLC0415 - an extra, and slow to import
    except ModuleNotFoundError as error:
        raise JevonsError(f"otel: {error.name} is not installed: pip install 'jevons[otel]'") from error
    settings = OtelSettings(
        endpoint=section.endpoint,
        service_name=section.service_name,
        interval_seconds=section.interval_seconds,
        headers={name: value.get_secret_value() for name, value in section.headers.items()},
    )
    return OtelExporter(settings, metering=metering, version=version)
