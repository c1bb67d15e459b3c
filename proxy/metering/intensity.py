"""What the sources of carbon intensity write, read with care: a file of the operator's, and two public services. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from ..errors import JevonsError
from ..observed import Intensity

FILE: Final = "file"
UK: Final = "uk_carbon_intensity"
ELECTRICITY_MAPS: Final = "electricity_maps"
MOST_GRAMS: Final = 5000.0
"""Per kWh: more than any way of making electricity emits; beyond it the figure is in other units."""


class IntensityError(JevonsError):
    """A source gave no intensity; the message says why."""


def parse_file(text: str, written_at: float) -> Intensity:
    """A number, or a JSON object `{"gco2e_per_kwh": 231, "at": "2026-11-23T12:00Z"}`; without `at` as old as the file.

    Raises IntensityError where it is neither.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise IntensityError("neither a number nor JSON") from error
    if not isinstance(value, dict):
        return Intensity(_grams(value), FILE, written_at)
    at = value.get("at")
    return Intensity(_grams(value.get("gco2e_per_kwh")), FILE, written_at if at is None else _unix_time(at))


def parse_uk(body: bytes) -> Intensity:
    """The reply of the Carbon Intensity API for Great Britain (`/intensity`, `/regional/…`): the actual, else the forecast.

    It counts the CO2 of generation, in g/kWh, for half hours; a region's figure is a forecast. Raises IntensityError.
    """
    period = _find_period(_json_object(body))
    intensity = period.get("intensity") if period else None
    if period is None or not isinstance(intensity, dict):
        raise IntensityError("no intensity in the reply")
    actual = intensity.get("actual")
    return Intensity(_grams(intensity.get("forecast") if actual is None else actual), UK, _unix_time(period.get("from")))


def _find_period(value: object) -> Mapping[str, object] | None:
    """The first half hour; for a region it lies in that region's own list."""
    while isinstance(value, list | dict):
        if isinstance(value, dict) and "intensity" in value:
            return value
        value = value.get("data") if isinstance(value, dict) else (value[0] if value else None)
    return None


def parse_electricity_maps(body: bytes) -> Intensity:
    """The reply of Electricity Maps (`/v3/carbon-intensity/latest`), in gCO2eq/kWh over the life cycle. Raises IntensityError."""
    reply = _json_object(body)
    return Intensity(_grams(reply.get("carbonIntensity")), ELECTRICITY_MAPS, _unix_time(reply.get("datetime")))


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IntensityError("the reply is no JSON") from error
    if not isinstance(value, dict):
        raise IntensityError("the reply is no JSON object")
    return value


def _grams(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= MOST_GRAMS:
        raise IntensityError("no intensity in grams per kWh")
    return float(value)


def _unix_time(value: object) -> float:
    """Unix time of an ISO 8601 time such as `2026-11-23T12:00Z`; one without a zone is UTC."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None:
        raise IntensityError("no time that the intensity is for")
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
