"""The section `otel`: where spans and metrics are sent over OTLP/HTTP."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, SecretStr

from .config_values import Url
from .sections import Section


def _checked_header(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if not (value.isascii() and value.isprintable()):
        raise ValueError("must be visible ASCII characters and blanks")
    return secret


HeaderSecret: TypeAlias = Annotated[SecretStr, AfterValidator(_checked_header)]


class OtelSection(Section):
    """An OpenTelemetry collector, or whatever else takes OTLP over HTTP; takes jevons[otel]."""

    endpoint: Url = Field(description="Its base, such as http://127.0.0.1:4318")
    service_name: str = Field("jevons", min_length=1, max_length=100, description="service.name of what is sent")
    interval_seconds: float = Field(10.0, ge=1.0, le=3600.0, description="How often the metrics are sent")
    headers: dict[str, HeaderSecret] = Field(
        default_factory=dict, description="Sent along, such as {authorization: 'Bearer ${TOKEN}'}"
    )
