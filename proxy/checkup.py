"""`jevons check`: what would run, which devices were found, and why others were not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

from .app import App
from .config import Config, config_hash
from .exchange import Upstream
from .metering.meter import Device
from .upstreams.client import UpstreamClient
from .upstreams.engine_metrics import EngineMetrics
from .upstreams.health import Health

FIRST_READING_SECONDS: Final = 0.5
NO_DEVICE: Final = "no device: energy will be null"
ESTIMATED: Final = "no device that can be read: energy will be estimated"


async def examine(config: Config) -> dict[str, Any]:
    """Open the meters, ask the upstreams, and report; nothing listens and no inference is made."""
    app = App(config)
    async with UpstreamClient() as client, app.metering:
        health = Health(client.session, list(app.upstreams.values()))
        engines = EngineMetrics(client.session, list(app.upstreams.values()), app.metering.served, dialect=health.dialect)
        grid = app.grid.poll(client.session) if app.grid is not None else asyncio.sleep(0)
        await asyncio.gather(health.check(), grid, asyncio.sleep(FIRST_READING_SECONDS))
        await engines.check()
        state = app.metering.state()
        return {
            "version": version("jevons"),
            "config": {
                "hash": config_hash(config),
                "listen": str(config.listen),
                "admin": str(config.admin),
                "default": config.default,
            },
            "policies": list(app.chain.names),
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
                    "is_estimated": app.metering.is_estimated(upstream.name),
                    "counters": engines.problems[upstream.name] or "read",
                    "coefficients": asdict(state.coefficients[upstream.name]),
                }
                for upstream in app.upstreams.values()
            ],
            "devices": [
                {"device": device.device, "name": device.name, "up": device.is_up, "reason": device.reason, "watts": device.watts}
                for device in state.devices
            ],
            "meters_not_used": [{"meter": meter, "reason": reason} for meter, reason in app.metering.problems.items()],
            "carbon": app.report_carbon(),
        }


def _missing(upstream: Upstream, devices: list[Device]) -> list[str]:
    """Those that the configuration names for an upstream and no meter has."""
    found = {name for device in devices for name in (device.id, device.configured_as)}
    return [name for name in upstream.devices if name not in found and name != "all"]


def render(report: dict[str, Any]) -> str:
    """The same for people, in lines of which names and addresses can be copied."""
    config = report["config"]
    lines = [
        f"jevons {report['version']}: listens on {config['listen']}, admin on {config['admin']}, config {config['hash']}",
        f"policies: {' > '.join(report['policies'])}; auto means {config['default']} when nobody decided",
    ]
    for row in report["upstreams"]:
        terms = row["coefficients"]
        lines += [
            "",
            f"upstream {row['name']}: {_state(row)}",
            f"    {row['model']}, reasoning: {row['reasoning']}",
            f"    {row['url']} ({row['dialect']})",
            *(f"    on {device}" for device in row["devices"] or [ESTIMATED if row["is_estimated"] else NO_DEVICE]),
            *(f"    on {device}: not found" for device in row["devices_not_found"]),
            f"    {terms['fixed_joules_per_step']:.3g} J per step + {terms['joules_per_token']:.3g} J per token",
            f"    its own token counters, which tell of traffic past jevons: {row['counters']}",
        ]
    lines += [""] if report["devices"] or report["meters_not_used"] else []
    for row in report["devices"]:
        watts = "power unknown" if row["watts"] is None else f"{row['watts']:.0f} W"
        lines.append(f"device {row['device']}: {_state(row)}, {row['name']}, {watts}")
    lines += [f"meter {row['meter']}: not used: {row['reason']}" for row in report["meters_not_used"]]
    if (carbon := report["carbon"]) is not None:
        grams = carbon["gco2e_per_kwh"]
        known = f"unknown: {carbon['reason']}" if grams is None else f"{grams:g} gCO2e per kWh"
        lines.append(f"carbon intensity ({carbon['source']}): {known}")
    return "\n".join(lines)


def _state(row: dict[str, Any]) -> str:
    return "up" if row["up"] else f"down: {row['reason']}"
