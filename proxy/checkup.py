"""`jevons check`: what would run, which devices were found, and why others were not."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from importlib.metadata import version
from io import StringIO
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from .app import App
from .config import Config, config_hash
from .upstreams.client import UpstreamClient
from .upstreams.health import Health

FIRST_READING_SECONDS: Final = 0.5


async def examine(config: Config) -> dict[str, Any]:
    """Open the meters, ask the upstreams, and report; nothing listens and no inference is made."""
    app = App(config)
    async with UpstreamClient() as client, app.metering:
        health = Health(client.session, list(app.upstreams.values()))
        await asyncio.gather(health.check(), asyncio.sleep(FIRST_READING_SECONDS))
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
                    "coefficients": asdict(state.coefficients[upstream.name]),
                }
                for upstream in app.upstreams.values()
            ],
            "devices": [
                {"device": device.device, "name": device.name, "up": device.is_up, "reason": device.reason, "watts": device.watts}
                for device in state.devices
            ],
            "meters_not_used": [{"meter": meter, "reason": reason} for meter, reason in app.metering.problems.items()],
        }


def render(report: dict[str, Any]) -> str:
    """The same for people."""
    out = StringIO()
    console = Console(file=out, width=140, highlight=False)
    config = report["config"]
    console.print(
        f"jevons {report['version']}: listens on {config['listen']}, admin on {config['admin']}, config {config['hash']}"
    )
    console.print(f"policies: {' > '.join(report['policies'])}; auto means {config['default']} when nobody decided\n")
    upstreams = Table("upstream", "model", "reasoning", "server", "state", "devices", "J per step + per token")
    for row in report["upstreams"]:
        terms = row["coefficients"]
        upstreams.add_row(
            row["name"],
            row["model"],
            row["reasoning"],
            f"{row['url']} ({row['dialect']})",
            "up" if row["up"] else f"down: {row['reason']}",
            "\n".join(row["devices"]) or "none: energy will be null",
            f"{terms['fixed_joules_per_step']:.3g} + {terms['joules_per_token']:.3g}",
        )
    console.print(upstreams)
    devices = Table("device", "name", "state", "power")
    for row in report["devices"]:
        watts = "unknown" if row["watts"] is None else f"{row['watts']:.0f} W"
        devices.add_row(row["device"], row["name"], "up" if row["up"] else f"down: {row['reason']}", watts)
    for row in report["meters_not_used"]:
        devices.add_row("none", row["meter"], f"not used: {row['reason']}", "")
    console.print(devices)
    return out.getvalue()
