"""Every metric, once: what Prometheus serves and what `docs/metrics.md` lists are both made from this table."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from jevons.proxy.exchange import Coefficients, Outcome

from .catalogue_routing import (
    BUDGET_LIMIT,
    BUDGET_USED,
    ESCALATION_WASTED,
    ESCALATIONS,
    FEEDBACK_SCORE,
    HOLDOUT_ENERGY,
    HOLDOUT_PAIR_ENERGY,
    HOLDOUT_PAIRS,
    HOLDOUT_REQUESTS,
    MEASURED_SAVING,
    ROUTE_DECISIONS,
    ROUTE_ENERGY,
    SWITCH_NOT_HONOURED,
)
from .metric import Label, Metric

DEVICE: Final = Label("device")
UPSTREAM: Final = Label("upstream")
ACCOUNT: Final = Label("account", ("attributed", "idle", "bypass", "unresolved"))
OUTCOME: Final = Label("outcome", tuple(outcome.value for outcome in Outcome))
TOKEN_TYPE: Final = Label("type", ("prompt", "cached", "reasoning", "completion"))
TERM: Final = Label("term", tuple(field.name for field in fields(Coefficients)))
BYPASS_TYPE: Final = Label("type", ("prompt", "output"))
CARBON_SOURCE: Final = Label("source", ("constant", "file", "uk_carbon_intensity", "electricity_maps"))
RELOAD_OUTCOME: Final = Label("outcome", ("ok", "failed"))
TENANT: Final = Label("tenant")
SERVER: Final = Label("server")
"""An upstream's name, or `chat#1` and so on where it has several servers."""
REFUSED: Final = Label("reason", ("full", "late"))

SNAPSHOT_TIME: Final = Metric(
    "jevons_snapshot_timestamp_seconds",
    "gauge",
    "seconds",
    (),
    "The Unix time of this snapshot. Scrapes within a second share one: who measures by two of them divides by its difference.",
)
BUILD_INFO: Final = Metric("jevons_build_info", "gauge", "", (Label("version"),), "Always 1; the version that runs.")

DEVICE_ENERGY: Final = Metric(
    "jevons_device_energy_joules_total",
    "counter",
    "joules",
    (DEVICE,),
    "Energy of the device in settled time bins.",
)
ACCOUNTED_ENERGY: Final = Metric(
    "jevons_energy_joules_total",
    "counter",
    "joules",
    (DEVICE, ACCOUNT),
    "The same energy by who it was for; the accounts sum to jevons_device_energy_joules_total in every scrape.",
)
DEVICE_COUNTER: Final = Metric(
    "jevons_device_counter_joules_total",
    "counter",
    "joules",
    (DEVICE,),
    "The device's counter as it was read, ahead of the settled energy. Absent while it cannot be read.",
)
SETTLE_LAG: Final = Metric("jevons_settle_lag_seconds", "gauge", "seconds", (), "How far the settled energy trails the readings.")
DEVICE_POWER: Final = Metric(
    "jevons_device_power_watts",
    "gauge",
    "watts",
    (DEVICE,),
    "Power drawn now. Absent while it cannot be read.",
)
METER_UP: Final = Metric("jevons_meter_up", "gauge", "", (DEVICE,), "1 while the device can be read, else 0.")
DEVICE_INFO: Final = Metric(
    "jevons_device_info",
    "gauge",
    "",
    (DEVICE, Label("name")),
    "Always 1; the name of the device. One that ends in (simulated) is a simulation, and so is all its energy.",
)
COUNTER_POWER_RATIO: Final = Metric(
    "jevons_counter_power_ratio",
    "gauge",
    "",
    (DEVICE,),
    "Energy counter over integrated power, last 60 s; away from 1 by more than 0.05 one of the two is wrong. Absent until known.",
)
COEFFICIENT: Final = Metric(
    "jevons_coefficient",
    "gauge",
    "joules",
    (UPSTREAM, TERM),
    "The energy model that splits a step's energy among its requests: joules per step, or per token of the kind.",
)

ENGINE_METRICS_UP: Final = Metric(
    "jevons_engine_metrics_up",
    "gauge",
    "",
    (UPSTREAM,),
    "1 while the server's own token counters are read, from which traffic past jevons shows, else 0.",
)
BYPASS_TOKENS: Final = Metric(
    "jevons_bypass_tokens_total",
    "counter",
    "tokens",
    (UPSTREAM, BYPASS_TYPE),
    "Tokens that the server has served past jevons, by its own counters. Absent while those are not read.",
)
BYPASS_SUSPECTED: Final = Metric(
    "jevons_bypass_suspected",
    "gauge",
    "",
    (DEVICE,),
    "1 while work on the device costs more than 1.5 times the usual and no server says why; the excess is unresolved.",
)
CARBON_INTENSITY: Final = Metric(
    "jevons_carbon_intensity_grams_per_joule",
    "gauge",
    "grams_per_joule",
    (CARBON_SOURCE,),
    "CO2e of the grid as its source gave it last; times 3.6e6 per kWh. Absent where none is configured, or the last is too old.",
)
CARBON_INTENSITY_TIME: Final = Metric(
    "jevons_carbon_intensity_timestamp_seconds",
    "gauge",
    "seconds",
    (CARBON_SOURCE,),
    "The Unix time that this intensity is for. Absent for a constant.",
)

REQUESTS: Final = Metric(
    "jevons_requests_total",
    "counter",
    "",
    (UPSTREAM, OUTCOME),
    "Requests that have ended, by the upstream that answered or was asked last; other: none was.",
)
REQUEST_ENERGY: Final = Metric(
    "jevons_request_energy_joules",
    "histogram",
    "joules",
    (UPSTREAM,),
    "Energy of a request with all its tries, observed once it is final; what is unknown or only estimated is not observed.",
    (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000),
)
ESTIMATED_ENERGY: Final = Metric(
    "jevons_estimated_energy_joules_total",
    "counter",
    "joules",
    (UPSTREAM,),
    "Energy of requests to upstreams for which nothing can be read, from a table; in no account of any device.",
)
TOKENS: Final = Metric(
    "jevons_tokens_total",
    "counter",
    "tokens",
    (UPSTREAM, TOKEN_TYPE),
    "Tokens of every try at the upstream; prompt includes cached, completion includes reasoning.",
)
UPSTREAM_COST: Final = Metric(
    "jevons_upstream_cost_usd_total",
    "counter",
    "usd",
    (UPSTREAM,),
    "What providers reached through litellm charge, by list price; tries of unknown price are in none.",
)
TIME_TO_FIRST_TOKEN: Final = Metric(
    "jevons_time_to_first_token_seconds",
    "histogram",
    "seconds",
    (UPSTREAM,),
    "From the request to the first token of a streamed answer.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
TIME_PER_OUTPUT_TOKEN: Final = Metric(
    "jevons_time_per_output_token_seconds",
    "histogram",
    "seconds",
    (UPSTREAM,),
    "Mean time from one token to the next in one sequence of a streamed answer.",
    (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5, 1),
)
REQUEST_DURATION: Final = Metric(
    "jevons_request_duration_seconds",
    "histogram",
    "seconds",
    (UPSTREAM,),
    "From the request to the last byte of its answer.",
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600),
)
IN_FLIGHT: Final = Metric("jevons_requests_in_flight", "gauge", "", (UPSTREAM,), "Requests that the upstream is working on.")
LOOP_TASKS: Final = Metric(
    "jevons_event_loop_tasks",
    "gauge",
    "",
    (),
    "Tasks of the process's event loop: at rest always about as many.",
)
UPSTREAM_UP: Final = Metric(
    "jevons_upstream_up",
    "gauge",
    "",
    (UPSTREAM,),
    "1 while the server answers, else 0. Absent until it has been asked.",
)
SERVER_EJECTED: Final = Metric(
    "jevons_server_ejected",
    "gauge",
    "",
    (SERVER,),
    "1 while the server is left alone after failures in a row, 0.5 while one request tries it, else 0.",
)
SERVER_EJECTIONS: Final = Metric("jevons_server_ejections_total", "counter", "", (SERVER,), "How often that has begun.")
QUEUE: Final = Metric(
    "jevons_queue_requests",
    "gauge",
    "",
    (UPSTREAM,),
    "Requests that wait for a place, since the upstream's servers have as many as max_concurrency allows.",
)
QUEUE_REFUSED: Final = Metric(
    "jevons_queue_refused_total",
    "counter",
    "",
    (UPSTREAM, REFUSED),
    "Requests that found the queue full (429), or had no place in time (503); a fallback may have served them all the same.",
)
RETRIES: Final = Metric(
    "jevons_retries_total",
    "counter",
    "",
    (UPSTREAM,),
    "Tries that failed at the upstream before the client had seen anything, and were made again elsewhere.",
)
UPSTREAM_INFO: Final = Metric(
    "jevons_upstream_info",
    "gauge",
    "",
    (UPSTREAM, Label("model"), Label("reasoning", ("never", "always", "switchable"))),
    "Always 1; which model an upstream serves, and whether that model thinks before it answers.",
)
TENANT_ENERGY: Final = Metric(
    "jevons_tenant_energy_joules_total",
    "counter",
    "joules",
    (TENANT,),
    "Energy of finished requests by tenant; what is unknown is in none.",
)
TENANT_REQUESTS: Final = Metric("jevons_tenant_requests_total", "counter", "", (TENANT,), "Requests that have ended, by tenant.")
PUE: Final = Metric(
    "jevons_pue",
    "gauge",
    "",
    (),
    "The configured power usage effectiveness, which enters the CO2e and the cost and no joules.",
)
PRICE: Final = Metric(
    "jevons_energy_price_per_joule",
    "gauge",
    "",
    (),
    "The configured price, in the operator's currency; times 3.6e6 per kWh. Absent where none is configured.",
)
CONFIG_RELOAD: Final = Metric(
    "jevons_config_reload_total",
    "counter",
    "",
    (RELOAD_OUTCOME,),
    "Reloads of the configuration; after a failed one the old configuration stays.",
)
LEDGER_DROPPED: Final = Metric(
    "jevons_ledger_dropped_total",
    "counter",
    "",
    (),
    "Rows that the ledger could not take, since its queue was full or its database could not be written.",
)

CATALOGUE: Final = (
    DEVICE_ENERGY,
    ACCOUNTED_ENERGY,
    DEVICE_COUNTER,
    SETTLE_LAG,
    DEVICE_POWER,
    METER_UP,
    DEVICE_INFO,
    COUNTER_POWER_RATIO,
    COEFFICIENT,
    ENGINE_METRICS_UP,
    BYPASS_TOKENS,
    BYPASS_SUSPECTED,
    CARBON_INTENSITY,
    CARBON_INTENSITY_TIME,
    REQUESTS,
    REQUEST_ENERGY,
    ESTIMATED_ENERGY,
    TOKENS,
    UPSTREAM_COST,
    TIME_TO_FIRST_TOKEN,
    TIME_PER_OUTPUT_TOKEN,
    REQUEST_DURATION,
    IN_FLIGHT,
    ROUTE_DECISIONS,
    SWITCH_NOT_HONOURED,
    LOOP_TASKS,
    UPSTREAM_UP,
    UPSTREAM_INFO,
    SERVER_EJECTED,
    SERVER_EJECTIONS,
    QUEUE,
    QUEUE_REFUSED,
    RETRIES,
    ROUTE_ENERGY,
    TENANT_ENERGY,
    TENANT_REQUESTS,
    PUE,
    PRICE,
    HOLDOUT_REQUESTS,
    HOLDOUT_ENERGY,
    HOLDOUT_PAIRS,
    HOLDOUT_PAIR_ENERGY,
    MEASURED_SAVING,
    FEEDBACK_SCORE,
    ESCALATIONS,
    ESCALATION_WASTED,
    BUDGET_USED,
    BUDGET_LIMIT,
    CONFIG_RELOAD,
    LEDGER_DROPPED,
    SNAPSHOT_TIME,
    BUILD_INFO,
)
