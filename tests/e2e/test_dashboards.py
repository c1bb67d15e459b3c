"""Every expression of every dashboard and rule, asked of a real Prometheus that has scraped the real proxy under a mixed load."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
import yaml
from jevons_process import get, until
from source_tree import ROOT

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no `prometheus` on this machine")

EXPORTERS = ROOT / "exporters"
LOAD_SECONDS = 24.0
IDLE_SECONDS = 2.0
"""After it, so that there is an idle share."""
WINDOWS = {"$__rate_interval": "8s", "$__range": "20s", "$past": "6s", "$job": "jevons"}
RULE_WINDOWS = {"5m": "8s", "10m": "8s", "1d": "6s", "7d": "6s"}
QUIET = {
    "Switch not honoured",
    "Bypass and unresolved",
    "In flight",
    "Waiting for a place",
    "Servers left alone",
    "Rows that the ledger lost",
}
"""Panels that are 0, not absent, while all is well and at rest."""
MAGNITUDES = {
    "watt": (0.0, 2_000.0),
    "joule": (0.0, 50_000.0),
    "percentunit": (0.0, 20.0),
    "s": (0.0, 60.0),
    "massg": (0.0, 100.0),
    "bool_yes_no": (0.0, 1.0),
    "reqps": (0.0, 500.0),
    "short": (0.0, 1e6),
    "none": (0.0, 100.0),
}
"""By unit: what a simulated board, its four accounts and a small load can give at all."""
PARTICULAR = {
    "Residual": (-1e-6, 1e-6),
    "Holdout quality": (0.2, 0.9),
    "Savings": (-1.0, 1.0),
    "Measured saving": (-1.0, 1.0),
    "Saving by period": (-1.0, 1.0),
}
"""Panels of which more is known than their unit says."""
SCORES = {"chat": 0.3, "thinker": 0.8}
"""What the clients of the load think of answers, by who gave them."""
PROMETHEUS = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}
scrape_configs:
  - job_name: jevons
    static_configs: [{{targets: ["{target}"]}}]
rule_files: ["{folder}/recording.yaml", "{folder}/alerts.yaml"]
"""


def panels():
    """Title, unit and expression of each query of each dashboard, as it is shipped."""
    for path in sorted((EXPORTERS / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield path.stem, panel["title"], panel["fieldConfig"]["defaults"]["unit"], target["expr"]


def substituted(expression, windows):
    """The expression with Grafana's variables, or a rule's windows, in seconds that a test can wait for."""
    for name in sorted(windows, key=len, reverse=True):
        pattern = re.escape(name) if name.startswith("$") else rf"\b{name}\b"
        expression = re.sub(pattern, windows[name], expression)
    return expression


def write_rules(folder):
    """The shipped rules with windows that a test can wait for."""
    for name in ("recording", "alerts"):
        text = (EXPORTERS / "rules" / f"{name}.yaml").read_text()
        text = re.sub(r"interval: \w+", "interval: 1s", substituted(text, RULE_WINDOWS))
        (folder / f"{name}.yaml").write_text(text)


def rules():
    """Name and expression of each recording rule."""
    document = yaml.safe_load((EXPORTERS / "rules" / "recording.yaml").read_text())
    return [rule["record"] for group in document["groups"] for rule in group["rules"]]


def ask(prometheus, path):
    """The data of one answer of Prometheus's API; None while it is not there."""
    with suppress(ConnectionError):
        status, body = get(f"{prometheus}/api/v1/{path}")
        if status == 200:
            return body["data"]
        if status != 503:  # it is starting
            pytest.fail(f"{path}: {body}")
    return None


async def mixed_load(main):
    """Streams and whole replies, direct and reasoning, routed and pinned, for as long as the windows need.

    One in three must be JSON, and no simulated model answers with that: where it was a whole reply, reasoning is asked too.
    Every answer gets a score.
    """
    questions = ["Name a river in Peru.", "Prove that the square root of 3 is irrational.", "What can I cook with two eggs?"]

    async def ask_on(session, place):
        count = place
        while True:
            body = {"model": "auto", "messages": [{"role": "user", "content": questions[count % 3]}], "max_tokens": 60}
            body |= {"stream": True, "stream_options": {"include_usage": True}} if count % 2 else {}
            body |= {"response_format": {"type": "json_object"}} if count % 3 == 2 else {}
            async with session.post(f"{main}/v1/chat/completions", json=body) as reply:
                await reply.read()
            opinion = {"request_id": reply.headers["x-request-id"], "score": SCORES[reply.headers["x-jevons-upstream"]]}
            async with session.post(f"{main}/v1/feedback", json=opinion) as reply:
                assert reply.status == 200
            count += 1

    with suppress(TimeoutError):
        async with aiohttp.ClientSession() as session, asyncio.timeout(LOAD_SECONDS), asyncio.TaskGroup() as group:
            for place in range(6):
                group.create_task(ask_on(session, place))


async def test_every_panel_and_rule_shows_something(models, serve, processes, tmp_path):
    """With its variables substituted each gives finite numbers of the magnitude that its unit can have; no alert fires."""
    text = models.config()
    energy = yaml.safe_load(text).get("energy", {}) | {"pue": 1.2, "price_per_kwh": 0.3, "carbon": {"gco2e_per_kwh": 380}}
    routed = yaml.safe_load(text)
    policies = [
        *routed["policies"],
        {"type": "escalate", "on": ["json"]},
        {"type": "budget", "budgets": [{"name": "daily", "joules": 1e6, "per": "all"}]},
    ]
    holdout = {"share": 0.5, "at_once": 4}
    proxy = serve(yaml.safe_dump(routed | {"energy": energy, "policies": policies, "holdout": holdout}))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    write_rules(tmp_path)
    (tmp_path / "prometheus.yaml").write_text(PROMETHEUS.format(target=urlsplit(proxy.admin).netloc, folder=tmp_path))
    processes.start(
        f"--config.file={tmp_path}/prometheus.yaml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
        command=("prometheus",),
        says=False,
    )
    prometheus = f"http://{address}"
    until(lambda: (ask(prometheus, "query?query=jevons_meter_up") or {}).get("result"))
    await mixed_load(proxy.main)
    await asyncio.sleep(IDLE_SECONDS)
    wrong = []
    for board, title, unit, expression in panels():
        asked = quote(substituted(expression, WINDOWS), safe="")
        values = [float(each["value"][1]) for each in ask(prometheus, f"query?query={asked}")["result"]]
        low, high = PARTICULAR.get(title, MAGNITUDES[unit])
        if not values or not all(math.isfinite(value) and low <= value <= high for value in values):
            wrong.append((board, title, unit, values, substituted(expression, WINDOWS)))
        elif title not in QUIET | {"Residual", "Energy model: a token"} and not any(values):
            wrong.append((board, title, "all zero"))
    assert not wrong, "\n".join(map(str, wrong)) + str(get(f"{proxy.admin}/healthz"))
    missing = [name for name in rules() if not ask(prometheus, f"query?query={quote(name)}")["result"]]
    assert missing == []
    assert ask(prometheus, "alerts")["alerts"] == []


def test_every_metric_is_on_a_dashboard_or_in_a_rule():
    """What is served and shown nowhere would be seen by nobody; what is shown and not served is a misspelling."""
    served = set(re.findall(r"`(jevons_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    texts = [expression for *_, expression in panels()]
    texts += [Path(path).read_text() for path in (EXPORTERS / "rules").glob("*.yaml")]
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for text in texts for name in re.findall(r"(?<!:)\bjevons_\w+(?!:)", text)}
    assert {name for name in used if name not in served and f"{name}_total" not in served} - {"jevons_job"} <= set()
