"""The verbs of the command line. Each imports what it needs when it is called, so that `--help` and `--version` are quick.

Exit codes: 0 done, 1 failed, 2 bad configuration or usage.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .bench.cli import bench
from .errors import ConfigError, JevonsError
from .reporting.cli import ledger_group, report, top
from .routing.cli import route
from .routing.whole_cli import routing_bench
from .study.cli import study

if TYPE_CHECKING:
    from .app import App
    from .config import Config

T = TypeVar("T")

FAILED: Final = 1
BAD_CONFIG: Final = 2

CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="The YAML file; without one, servers are looked for."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Verbs(click.Group):
    """Turns our own errors into messages and exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            sys.exit(BAD_CONFIG)
        except JevonsError as error:
            click.echo(f"jevons: {error}", err=True)
            sys.exit(FAILED)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("jevons"), prog_name="jevons")
def main() -> None:
    """Measure the energy of every LLM request, and spend it where it buys something."""


@main.command()
@CONFIG
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True)
def serve(config_path: Path | None, log_level: str) -> None:
    """Run the proxy."""
    from .app import Addresses, run_until_signal
    from .garbage import settle_down
    from .logs import configure_logs

    configure_logs(log_level)
    app = _app(_config(config_path), config_path, log_level)

    def announce(addresses: Addresses) -> None:
        settle_down()
        _announce(f"jevons {app.version} listening on {addresses.main}/v1, admin on {addresses.admin}")

    _run(run_until_signal(app, announce))


@main.command()
@click.option("--once", is_flag=True, help="Exit after the table instead of staying up.")
@AS_JSON
def demo(*, once: bool, as_json: bool) -> None:
    """See the whole thing run on a simulated GPU."""
    from .simulation.demo import Demo

    sys.exit(_run(Demo(stays_up=not once, as_json=as_json).run()))


@main.command()
@CONFIG
@AS_JSON
def check(config_path: Path | None, *, as_json: bool) -> None:
    """Say what would run: upstreams, devices and why others were not found, policies, the energy model."""
    from .checkup import examine, render
    from .logs import configure_logs

    configure_logs("error")
    report = _run(examine(_config(config_path)))
    click.echo(json.dumps(report, indent=2) if as_json else render(report))


@main.command()
@CONFIG
@click.option("--upstream", "name", help="Which one, where there are several.")
@click.option("--seconds", type=click.FloatRange(min=1.0), default=60.0, show_default=True, help="Of load, all in all.")
@click.option("--streams", type=click.IntRange(min=2), default=16, show_default=True, help="At once, at most.")
@AS_JSON
@click.option("--write", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write the YAML there, into a new file.")
def calibrate(
    config_path: Path | None, name: str | None, seconds: float, streams: int, path: Path | None, *, as_json: bool
) -> None:
    """Put a short load on one upstream, directly, and fit its energy model to what its devices consume."""
    from .calibration.calibrate import Options
    from .calibration.calibrate import calibrate as run
    from .calibration.report import as_data, render, snippet
    from .config import to_upstreams
    from .logs import configure_logs

    configure_logs("error")
    upstreams = {upstream.name: upstream for upstream in to_upstreams(_config(config_path))}
    if len(upstreams) > 1 if name is None else name not in upstreams:
        raise click.BadParameter(f"name one of {', '.join(upstreams)}", param_hint="--upstream")
    if path is not None and path.exists():
        raise click.BadParameter(f"{path} exists: it is not written over", param_hint="--write")
    upstream = upstreams[name] if name is not None else next(iter(upstreams.values()))
    others = [one for one in upstreams.values() if one is not upstream]
    found = _run(run(upstream, Options(seconds, streams), lambda line: click.echo(line, err=True), neighbours=others))
    if path is not None:
        path.write_text(snippet(found))
    click.echo(json.dumps(as_data(found), indent=2) if as_json else render(found))


@main.command()
@click.argument("prompt")
@CONFIG
@click.option("--tier", type=click.Choice(["direct", "reasoning", "auto"]), default="auto", help="As the x-jevons-tier header.")
@click.option("--model", default="auto", show_default=True)
@AS_JSON
def explain(prompt: str, config_path: Path | None, tier: str, model: str, *, as_json: bool) -> None:
    """Print where a prompt would go and every policy's word on it, without sending anything."""
    from .explanation import explain_prompt, render

    report = explain_prompt(_config(config_path), prompt, model=model, tier=tier)
    click.echo(json.dumps(report, indent=2) if as_json else render(report))
    if report["error"] is not None:
        sys.exit(FAILED)


@main.group()
def keys() -> None:
    """API keys."""


@keys.command("new")
@click.option("--tenant", required=True, help="Whose records and energy the key reads and writes.")
@click.option("--name", required=True, help="What to call the key.")
def new_key(tenant: str, name: str) -> None:
    """Make a key: it is printed once; the line for the keys file holds only its digest."""
    from . import keys as keyring

    key, line = keyring.new_key(tenant, name)
    click.echo("Give this to the client; it cannot be shown again:", err=True)
    click.echo(key)
    click.echo("Add this to the keys file:", err=True)
    click.echo(line, nl=False)


bench.add_command(routing_bench)
main.add_command(bench)
main.add_command(report)
main.add_command(ledger_group)
main.add_command(top)
main.add_command(study)
main.add_command(route)


@main.command(hidden=True)
@click.option("--gpu", type=click.Path(path_type=Path, exists=True), required=True, help="The simulated GPU's file.")
@click.option("--model", required=True)
@click.option("--thinks", type=click.Choice(["never", "always", "switchable"]), default="never")
@click.option("--port", type=int, default=0, help="0: any that is free.")
@click.option("--max-batch", type=click.IntRange(1, 2048), default=64, show_default=True, help="Sequences in one step, at most.")
def simulate(gpu: Path, model: str, thinks: str, port: int, max_batch: int) -> None:
    """Run one simulated model server, as `demo` does."""
    from .exchange import Reasoning
    from .simulation.serving import ServingConfig, serve

    _run(serve(ServingConfig(gpu=gpu, model=model, thinks=Reasoning(thinks), port=port, max_batch=max_batch)))


def _app(config: Config, path: Path | None, log_level: str) -> App:
    """One process, or one that owns the devices and as many as serve."""
    from .app import App

    workers = config.workers or len(os.sched_getaffinity(0))
    if workers == 1:
        return App(config, path)
    from .workers.forks import fork_workers
    from .workers.owner import OwnerApp

    _hold_standard_streams()
    return OwnerApp(config, path, workers=workers, log_level=log_level, forks=fork_workers(workers))


def _config(path: Path | None) -> Config:
    """The configuration file, or one for the servers that were found."""
    if path is not None:
        from .config_file import load_config

        return load_config(path, os.environ)
    return _run(_detected())


async def _detected() -> Config:
    import aiohttp

    from .config_detected import config_from_detection
    from .upstreams.detection import USUAL_PORTS, detect_servers

    async with aiohttp.ClientSession() as session:
        found = await detect_servers(session)
    if not found:
        ports = ", ".join(f":{port}" for port in USUAL_PORTS)
        raise JevonsError(f"no configuration given (--config FILE), and no model server found on this machine at {ports}")
    config = config_from_detection(found)
    for upstream in config.upstreams:
        server = f"{upstream.url} ({upstream.dialect}, reasoning: {upstream.reasoning})"
        click.echo(f"found {upstream.model} at {server} as {upstream.name!r}", err=True)
    return config


def _announce(line: str) -> None:
    """Say it where somebody listens: a proxy does not end because its standard output has."""
    try:
        click.echo(line)
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # or Python would try again, and fail, at its end


def _hold_standard_streams() -> None:
    """Open those of the three that were closed when we started: else a socket gets their number, and libuv aborts on that."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop; being told to end before is no error with a traceback."""
    import uvloop

    _hold_standard_streams()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except asyncio.CancelledError:
        raise click.Abort from None
