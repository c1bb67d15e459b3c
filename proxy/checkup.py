"""`jevons check`: what would run, which devices were found, and why others were not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import asdict, astuple
from importlib.metadata import version
from typing import Any, Final

from .app import App
from .config import Config, config_hash
from .exchange import Coefficients, Upstream
from .learned import ask_learned
from .ledger_factory import examine_ledger, render_ledger
from .metering.meter import Device
from .metering.metering import Metering
from .upstreams.client import UpstreamClient
from .upstreams.engine_metrics import EngineMetrics
from .upstreams.health import Health

FIRST_READING_SECONDS: Final = 0.5
PLACEMENT_SECONDS: Final = 3.0
"""How long the report waits for servers to be looked for."""
FROM_CONFIG: Final = "the configuration"
FROM_TABLE: Final = "the table of public measurements, for the model's size and the GPU"
NO_DEVICE: Final = "no device: energy will be null"
ESTIMATED: Final = "no device that can be read: energy will be estimated"


async def examine(config: Config) -> dict[str, Any]:
    """Open the meters, ask the upstreams, and report; nothing listens and no inference is made."""
    app = App(config)
    servers = app.servers
    async with UpstreamClient() as client, app.metering:
        health = Health(client.session, servers)
        engines = EngineMetrics(client.session, servers, app.metering.served, dialect=health.dialect)
        grid = app.grid.poll(client.session) if app.grid is not None else asyncio.sleep(0)
        await asyncio.gather(health.check(), grid, asyncio.sleep(FIRST_READING_SECONDS))
        await asyncio.gather(engines.check(), app.metering.placement.wait_for_look(PLACEMENT_SECONDS))
        token = config.admin_token.get_secret_value() if config.admin_token else None
        learned = await ask_learned(client.session, f"http://{config.admin}", token) or {}
        state = app.metering.state()
        return {
            "version": version("jevons"),
            "config": {
                "hash": config_hash(config),
                "listen": str(config.listen),
                "admin": str(config.admin),
                "default": config.default,
            },
            "policies": list(app.router.chain.names),
            "upstreams": [
                {
                    "name": upstream.name,
                    "url": upstream.base_url,
                    "model": upstream.model,
                    "reasoning": upstream.reasoning.value,
                    "dialect": health.dialect(upstream.name).value,
                    "up": health.problems[upstream.name] is None,
                    "reason": health.problems[upstream.name],
                    "devices": [device.id for device in app.metering.devices_of(upstream)],
                    "devices_not_found": _missing(upstream, app.metering.devices_of(upstream)),
                    "devices_by": app.metering.placed_by(upstream),
                    "devices_shared_with": _sharers(upstream, app.metering, servers),
                    "is_estimated": app.metering.is_estimated(upstream.name),
                    "counters": engines.problems[upstream.name] or "read",
                    "coefficients": asdict(state.coefficients[upstream.name]),
                    "coefficients_from": FROM_CONFIG if upstream.coefficients else FROM_TABLE,
                    "coefficients_learned": _as_terms(learned.get(upstream.name), state.coefficients[upstream.name]),
                }
                for upstream in servers
            ],
            **_report_devices(app.metering),
            "carbon": app.report_carbon(),
            "ledger": await asyncio.to_thread(examine_ledger, config.ledger) if config.ledger else None,
        }


def _report_devices(metering: Metering) -> dict[str, Any]:
    return {
        "devices": [
            {"device": device.device, "name": device.name, "up": device.is_up, "reason": device.reason, "watts": device.watts}
            for device in metering.state().devices
        ],
        "meters_not_used": [{"meter": meter, "reason": reason} for meter, reason in metering.problems.items()],
        "meter_problems": [{"meter": meter, "reason": reason} for meter, reason in metering.readers.complaints],
    }


def _as_terms(learned: Coefficients | None, start: Coefficients) -> dict[str, float] | None:
    """None while they are what they started from, or no proxy runs that could have learned."""
    if learned is None or all(
        math.isclose(one, other, rel_tol=1e-6) for one, other in zip(astuple(learned), astuple(start), strict=True)
    ):
        return None
    return asdict(learned)


def _law(terms: dict[str, float]) -> str:
    return (
        f"{terms['fixed_joules_per_step']:.3g} J per step + {terms['joules_per_token']:.3g} J per token"
        f" + {terms['joules_per_context_token']:.3g} J per context token"
        f" + {terms['joules_per_prompt_token']:.3g} J per prompt token"
    )


def _missing(upstream: Upstream, devices: list[Device]) -> list[str]:
    """Those that the configuration names for an upstream and no meter has."""
    found = {name for device in devices for name in (device.id, device.configured_as, *device.aliases)}
    return [name for name in upstream.devices if name not in found | {"all", "auto"}]


def _sharers(upstream: Upstream, metering: Metering, servers: Iterable[Upstream]) -> list[str]:
    """The other servers on its devices."""
    own = {device.id for device in metering.devices_of(upstream)}
    return [
        other.name
        for other in servers
        if other.name != upstream.name and any(device.id in own for device in metering.devices_of(other))
    ]


def render(report: dict[str, Any]) -> str:
    """The same for people, in lines of which names and addresses can be copied."""
    config = report["config"]
    lines = [
        f"jevons {report['version']}: listens on {config['listen']}, admin on {config['admin']}, config {config['hash']}",
        f"policies: {' > '.join(report['policies'])}; auto means {config['default']} when nobody decided",
    ]
    for row in report["upstreams"]:
        learned = row["coefficients_learned"]
        lines += [
            "",
            f"upstream {row['name']}: {_state(row)}",
            f"    {row['model']}, reasoning: {row['reasoning']}",
            f"    {row['url']} ({row['dialect']})",
            *(f"    on {device}" for device in row["devices"] or [ESTIMATED if row["is_estimated"] else NO_DEVICE]),
            *(f"    on {device}: not found" for device in row["devices_not_found"]),
            *([f"    looked for: {row['devices_by']}"] if row["devices_by"] is not None and row["devices"] else []),
            f"    starts from {_law(row['coefficients'])}",
            f"        by {row['coefficients_from']}; `jevons calibrate` measures them",
            *_why_calibrate(row),
            *([f"    learned by the jevons that runs: {_law(learned)}"] if learned else []),
            f"    its own token counters, which tell of traffic past jevons: {row['counters']}",
        ]
    lines += [""] if report["devices"] or report["meters_not_used"] or report["meter_problems"] else []
    for row in report["devices"]:
        watts = "power unknown" if row["watts"] is None else f"{row['watts']:.0f} W"
        lines.append(f"device {row['device']}: {_state(row)}, {row['name']}, {watts}")
    lines += [f"meter {row['meter']}: not used: {row['reason']}" for row in report["meters_not_used"]]
    lines += [f"meter {row['meter']}: {row['reason']}" for row in report["meter_problems"]]
    lines += render_ledger(report["ledger"]) if report["ledger"] else []
    if (carbon := report["carbon"]) is not None:
        grams = carbon["gco2e_per_kwh"]
        known = f"unknown: {carbon['reason']}" if grams is None else f"{grams:g} gCO2e per kWh"
        lines.append(f"carbon intensity ({carbon['source']}): {known}")
    return "\n".join(lines)


def _why_calibrate(row: dict[str, Any]) -> list[str]:
    """What servers cost that are always at work together, no measurement of both can tell (docs/metering.md)."""
    if not row["devices_shared_with"] or row["coefficients_from"] == FROM_CONFIG:
        return []
    others = ", ".join(row["devices_shared_with"])
    return [f"        shares a device with {others}: uncalibrated, its bounds are wide while neither rests"]


def _state(row: dict[str, Any]) -> str:
    return "up" if row["up"] else f"down: {row['reason']}"
