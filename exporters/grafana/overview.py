"""The dashboard that a person opens first: what is drawn, for whom, what it costs and what was spared."""

from __future__ import annotations

from typing import Final

from .panels import SELECTOR, Board, Panel, Query, Row, increase, rate, ratio

_ATTRIBUTED: Final = increase("jevons_energy_joules_total", account="attributed")
_PRICE: Final = f"scalar(max(jevons_energy_price_per_joule{{{SELECTOR}}}))"
_PUE: Final = f"scalar(max(jevons_pue{{{SELECTOR}}}))"
_INTENSITY: Final = f"scalar(max(jevons_carbon_intensity_grams_per_joule{{{SELECTOR}}}))"

_TOTALS: Final = Row(
    "In the time shown",
    (
        Panel(
            title="Energy of requests",
            description="What the devices took for requests through jevons. Measured; simulated where the device's name says so.",
            unit="joule",
            kind="stat",
            width=4,
            height=5,
            queries=(Query(_ATTRIBUTED),),
        ),
        Panel(
            title="Requests",
            description="Requests that have ended, however they ended.",
            unit="short",
            kind="stat",
            width=4,
            height=5,
            decimals=0,
            queries=(Query(increase("jevons_requests_total")),),
        ),
        Panel(
            title="Joules per request",
            description="The mean over requests whose energy is final and was read from a device.",
            unit="joule",
            kind="stat",
            width=4,
            height=5,
            queries=(Query(ratio(increase("jevons_request_energy_joules_sum"), increase("jevons_request_energy_joules_count"))),),
        ),
        Panel(
            title="Joules per 1,000 tokens",
            description="Attributed energy over the tokens that were put out, thinking included.",
            unit="joule",
            kind="stat",
            width=4,
            height=5,
            queries=(Query(f"1000 * {ratio(_ATTRIBUTED, increase('jevons_tokens_total', type='completion'))}"),),
        ),
        Panel(
            title="CO₂e of requests",
            description="Attributed joules x PUE x the grid's intensity now. No data: none is configured, or it is too old.",
            unit="massg",
            kind="stat",
            width=4,
            height=5,
            queries=(Query(f"{_ATTRIBUTED} * {_PUE} * {_INTENSITY}"),),
        ),
        Panel(
            title="Cost of requests",
            description="Attributed joules x PUE x the configured price, in its currency. No data: no price is configured.",
            unit="none",
            kind="stat",
            width=4,
            height=5,
            decimals=4,
            queries=(Query(f"{_ATTRIBUTED} * {_PUE} * {_PRICE}"),),
        ),
    ),
)

_POWER: Final = Row(
    "Power and energy",
    (
        Panel(
            title="Power by account",
            description="Watts of all devices, divided into what requests took, idle time, traffic past jevons, and what nobody "
            "can be charged with. The four sum to what the devices' counters measured.",
            unit="watt",
            kind="stack",
            width=12,
            height=9,
            queries=(Query(rate("jevons_energy_joules_total", "account"), "{{account}}"),),
        ),
        Panel(
            title="Power by device",
            description="The same watts by device, all accounts.",
            unit="watt",
            kind="stack",
            width=12,
            height=9,
            queries=(Query(rate("jevons_energy_joules_total", "device"), "{{device}}"),),
        ),
        Panel(
            title="Joules per request",
            description="Mean by upstream.",
            unit="joule",
            queries=(
                Query(
                    ratio(
                        rate("jevons_request_energy_joules_sum", "upstream"),
                        rate("jevons_request_energy_joules_count", "upstream"),
                    ),
                    "{{upstream}}",
                ),
            ),
        ),
        Panel(
            title="Joules per 1,000 tokens",
            description="Of requests that have ended, over the tokens that they put out, by upstream.",
            unit="joule",
            queries=(
                Query(
                    "1000 * "
                    + ratio(
                        rate("jevons_request_energy_joules_sum", "upstream"),
                        rate("jevons_tokens_total", "upstream", type="completion"),
                    ),
                    "{{upstream}}",
                ),
            ),
        ),
        Panel(
            title="Tokens per second",
            description="Put out by each upstream; counted when a request ends.",
            unit="short",
            kind="stack",
            queries=(Query(rate("jevons_tokens_total", "upstream", type="completion"), "{{upstream}}"),),
        ),
    ),
)

_ROUTES: Final = Row(
    "Routes and savings",
    (
        Panel(
            title="Route shares",
            description="Decisions a second, by what was decided.",
            unit="reqps",
            kind="shares",
            width=6,
            queries=(Query(rate("jevons_route_decisions_total", "decision"), "{{decision}}"),),
        ),
        Panel(
            title="Energy by route",
            description="Watts by what was decided: how much of the energy goes to thinking.",
            unit="watt",
            kind="stack",
            width=6,
            queries=(Query(rate("jevons_route_energy_joules_total", "decision"), "{{decision}}"),),
        ),
        Panel(
            title="Savings",
            description="The share of joules that routing saves against always reasoning, measured by the holdout, with the "
            "bounds of its 95 % interval. No data: no holdout, or too few pairs yet.",
            unit="percentunit",
            width=6,
            from_zero=False,
            queries=(Query(f"max by (bound) (jevons_measured_saving_ratio{{{SELECTOR}}})", "{{bound}}"),),
        ),
        Panel(
            title="Idle share",
            description="Of all energy, how much was drawn while nobody asked for anything.",
            unit="percentunit",
            width=6,
            queries=(
                Query(
                    ratio(
                        rate("jevons_energy_joules_total", account="idle"),
                        rate("jevons_energy_joules_total"),
                    ),
                    "idle",
                ),
            ),
        ),
    ),
)

_TROUBLE: Final = Row(
    "Waiting and trouble",
    (
        Panel(
            title="Waiting for a place",
            description="Requests that wait, since an upstream's servers have as many as max_concurrency allows.",
            unit="short",
            kind="stack",
            queries=(Query(f"sum by (upstream) (jevons_queue_requests{{{SELECTOR}}})", "{{upstream}}"),),
        ),
        Panel(
            title="Servers left alone",
            description="1 while a server is left alone after failures in a row, 0.5 while one request tries it.",
            unit="none",
            queries=(Query(f"max by (server) (jevons_server_ejected{{{SELECTOR}}})", "{{server}}"),),
        ),
        Panel(
            title="Rows that the ledger lost",
            description="In the time shown; 0 is right, and 0 without a ledger too.",
            unit="short",
            kind="stat",
            decimals=0,
            queries=(Query(increase("jevons_ledger_dropped_total")),),
        ),
    ),
)

OVERVIEW: Final = Board(
    uid="jevons-overview",
    title="jevons: overview",
    description="What the model servers' devices draw, for whom, and what it costs.",
    rows=(_TOTALS, _POWER, _ROUTES, _TROUBLE),
)
