"""What the demo shows: figures that no width cuts off, sums that are right, and a run that is only sound when it was."""

import io
import json
import re

import aiohttp
import pytest
from aiohttp import web
from rich.console import Console

from jevons.proxy.simulation.demo_report import Answer, Report, print_report, read_accounts
from jevons.proxy.simulation.workload import Question

ROUTES = {"direct-8b": "default:direct;to=direct-8b", "reasoner-8b": "rules:debugging;to=reasoner-8b"}


def answered(number, upstream, joules, *, truth=100.0, first=None, outcome="ok"):
    """One answer to a question that is longer than any column."""
    question = Question(str(number), "logic", "en", thinking_helps=True, text=f"[b]{number}\n" + "Is every raven black? " * 20)
    record = {
        "request_id": f"req_{number}",
        "upstream": upstream,
        "route": ROUTES[upstream],
        "outcome": outcome,
        "tokens": {"prompt": 9, "cached": 0, "reasoning": 2023 if upstream == "reasoner-8b" else None, "completion": 2256},
        "energy": {"joules": joules, "low": joules * 0.9, "high": joules * 1.1, "method": "simulated", "status": "final"},
    }
    return Answer(question, streamed=first is not None, first_token_seconds=first, truth_joules=truth, record=record)


@pytest.fixture
def report():
    """Two questions, of which the direct one was asked again."""
    return Report(
        routed=[answered(1, "direct-8b", 50.0, truth=40.0, first=0.25), answered(2, "reasoner-8b", 7123.0, truth=7123.0)],
        reasoned=[answered(1, "reasoner-8b", 7123.0)],
        accounts={"attributed": 14296.0, "idle": 100.0, "bypass": 0.0, "unresolved": 4.0},
        device_joules=14400.0,
        device="GPU (simulated)",
        main="http://127.0.0.1:8800",
        admin="http://127.0.0.1:9464",
    )


def printed(report, width):
    """The report for people, at this width, line by line."""
    out = io.StringIO()
    print_report(report, Console(file=out, width=width, highlight=False), as_json=False)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 130, 200])
def test_no_width_cuts_a_figure(report, width):
    """From 80 columns on every figure of every row is whole; it is the prompt that is cut."""
    lines = printed(report, width)
    assert max(map(len, lines)) <= width
    direct, reasoned = (line for line in lines if "2256" in line)
    assert re.search(r"… +direct-8b.* 2256 \(0\) +50 +45…55 +40 +0\.25 s$", direct)
    assert re.search(r"… +reasoner-8b.* 2256 \(2023\) +7,123 +6,411…7,835 +7,123 *$", reasoned)
    assert direct.startswith("[b]1 Is")
    text = " ".join(" ".join(lines).split())
    assert "(default:direct)" in text
    assert "(rules:debugging)" in text


def test_the_sums(report):
    """Below the table stand the accounts against the device, the saving, and the errors against the simulator."""
    text = " ".join(" ".join(printed(report, 130)).split())
    assert "attributed 14,296.0 + idle 100.0 + bypass 0.0 + unresolved 4.0 = 14,400.0; the device 14,400.0 (off by 0e+00)" in text
    assert "these 2 questions took 7,173 J" in text
    assert "With the 1 direct ones asked of the reasoning model too, 14,246 J: 50% saved" in text
    assert "median 12.5% off, worst 25.0%" in text
    assert "(simulated)" in text


def test_as_json(report, capsys):
    """As JSON it is one object on standard output, with the records as `GET /v1/energy/{id}` gives them."""
    out = io.StringIO()
    print_report(report, Console(file=out), as_json=True)
    assert out.getvalue() == ""
    shown = json.loads(capsys.readouterr().out)
    assert (shown["method"], shown["device"]) == ("simulated", "GPU (simulated)")
    assert (shown["routed_joules"], shown["always_reasoning_joules"]) == (7173.0, 14246.0)
    assert (shown["accounts"], shown["device_joules"], shown["residual"]) == (report.accounts, 14400.0, 0.0)
    assert shown["listening"] == {"main": "http://127.0.0.1:8800", "admin": "http://127.0.0.1:9464"}
    first, second = shown["requests"]
    assert first["request_id"] == "req_1"
    assert (first["streamed"], first["first_token_seconds"], first["true_joules"]) == (True, 0.25, 40.0)
    assert (second["streamed"], second["first_token_seconds"]) == (False, None)


@pytest.mark.parametrize(
    ("change", "is_sound"),
    [
        ({}, True),
        ({"device_joules": 14400.0 * (1 + 1e-10)}, True),
        ({"device_joules": 14400.0 * (1 + 1e-8)}, False),
        ({"reasoned": [answered(1, "reasoner-8b", 7123.0, outcome="upstream_error")]}, False),
    ],
    ids=["as it was", "rounded", "leaking", "failed"],
)
def test_what_is_sound(report, change, is_sound):
    """A run is sound when every request ended well and the accounts sum to the device."""
    fields = {name: getattr(report, name) for name in Report.__slots__} | change
    assert Report(**fields).is_sound is is_sound


METRICS = """\
# TYPE jevons_device_info gauge
jevons_device_info{device="GPU-1",name="A (simulated)"} 1
# TYPE jevons_device_energy_joules_total counter
jevons_device_energy_joules_total{device="GPU-1"} 30.0
# TYPE jevons_energy_joules_total counter
jevons_energy_joules_total{device="GPU-1",account="attributed"} 20.0
jevons_energy_joules_total{device="GPU-1",account="idle"} 10.0
"""


async def test_one_scrape_has_it_all():
    """Accounts, total and name are read from a single page."""
    asked = []

    async def metrics(request):
        asked.append(request.path)
        return web.Response(text=METRICS)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            admin = f"http://127.0.0.1:{runner.addresses[0][1]}"
            found = await read_accounts(session, admin)
    finally:
        await runner.cleanup()
    assert found == ({"attributed": 20.0, "idle": 10.0}, 30.0, "A (simulated)")
    assert asked == ["/metrics"]
