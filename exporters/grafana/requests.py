"""The dashboard of single requests: how joules and times are distributed, by upstream and by tenant."""

from __future__ import annotations

from typing import Final

from .panels import Board, Panel, Query, Row, quantile, rate, ratio

_ENERGY: Final = Row(
    "Energy of a request",
    (
        Panel(
            title="Distribution",
            description="How many requests took how many joules.",
            unit="joule",
            kind="heatmap",
            width=12,
            height=9,
            queries=(Query(rate("jevons_request_energy_joules_bucket", "le"), "{{le}}"),),
        ),
        Panel(
            title="Median and 95th percentile",
            description="By upstream: a thinking model shows here as a multiple, and its tail as a multiple of that.",
            unit="joule",
            width=12,
            height=9,
            queries=(
                Query(quantile(0.5, "jevons_request_energy_joules", "upstream"), "{{upstream}} median"),
                Query(quantile(0.95, "jevons_request_energy_joules", "upstream"), "{{upstream}} 95th"),
            ),
        ),
        Panel(
            title="Reasoning against direct",
            description="Joules per request by what was decided.",
            unit="joule",
            width=12,
            queries=(
                Query(
                    ratio(
                        rate("jevons_route_energy_joules_total", "decision"),
                        rate("jevons_route_decisions_total", "decision"),
                    ),
                    "{{decision}}",
                ),
            ),
        ),
        Panel(
            title="Share of tokens that are thinking",
            description="Reasoning tokens over all that were put out, by upstream.",
            unit="percentunit",
            width=12,
            queries=(
                Query(
                    ratio(
                        rate("jevons_tokens_total", "upstream", type="reasoning"),
                        rate("jevons_tokens_total", "upstream", type="completion"),
                    ),
                    "{{upstream}}",
                ),
            ),
        ),
    ),
)

_TIMES: Final = Row(
    "Times",
    (
        Panel(
            title="Time to first token",
            description="Streamed answers: median and 95th percentile by upstream.",
            unit="s",
            queries=(
                Query(quantile(0.5, "jevons_time_to_first_token_seconds", "upstream"), "{{upstream}} median"),
                Query(quantile(0.95, "jevons_time_to_first_token_seconds", "upstream"), "{{upstream}} 95th"),
            ),
        ),
        Panel(
            title="Time per output token",
            description="Streamed answers: median by upstream.",
            unit="s",
            queries=(Query(quantile(0.5, "jevons_time_per_output_token_seconds", "upstream"), "{{upstream}}"),),
        ),
        Panel(
            title="Duration",
            description="From the request to the last byte of its answer: median and 95th percentile by upstream.",
            unit="s",
            queries=(
                Query(quantile(0.5, "jevons_request_duration_seconds", "upstream"), "{{upstream}} median"),
                Query(quantile(0.95, "jevons_request_duration_seconds", "upstream"), "{{upstream}} 95th"),
            ),
        ),
        Panel(
            title="In flight",
            description="Requests that each upstream is working on.",
            unit="short",
            kind="stack",
            queries=(Query('sum by (upstream) (jevons_requests_in_flight{job=~"$job"})', "{{upstream}}"),),
        ),
        Panel(
            title="Outcomes",
            description="Requests a second by how they ended.",
            unit="reqps",
            kind="stack",
            queries=(Query(rate("jevons_requests_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            title="Tokens per second",
            description="By kind. Prompt includes cached, completion includes reasoning.",
            unit="short",
            queries=(Query(rate("jevons_tokens_total", "type"), "{{type}}"),),
        ),
    ),
)

_TENANTS: Final = Row(
    "Tenants",
    (
        Panel(
            title="Energy by tenant",
            description="Watts by whose key was used; `default` is everybody without a key.",
            unit="watt",
            kind="stack",
            width=12,
            queries=(Query(rate("jevons_tenant_energy_joules_total", "tenant"), "{{tenant}}"),),
        ),
        Panel(
            title="Joules per request by tenant",
            description="Mean over the requests that have ended.",
            unit="joule",
            width=12,
            queries=(
                Query(
                    ratio(rate("jevons_tenant_energy_joules_total", "tenant"), rate("jevons_tenant_requests_total", "tenant")),
                    "{{tenant}}",
                ),
            ),
        ),
    ),
)

REQUESTS: Final = Board(
    uid="jevons-requests",
    title="jevons: requests",
    description="How joules and times are distributed over requests.",
    rows=(_ENERGY, _TIMES, _TENANTS),
)
