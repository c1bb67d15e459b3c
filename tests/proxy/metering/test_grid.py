"""The grid's intensity: asked for in the background, from a file or over HTTP, kept while it is fresh, unknown when it is old."""

import asyncio
import os
from dataclasses import dataclass, field

import aiohttp
import pytest
from node_server import fake_node
from simulated_upstream import until
from structlog.testing import capture_logs

from jevons.proxy.exchange import Energy
from jevons.proxy.metering import grid as grid_module
from jevons.proxy.metering.carbon import Carbon
from jevons.proxy.metering.grid import Grid, GridFile, electricity_maps_service, uk_service
from jevons.proxy.metering.intensity import IntensityError
from jevons.proxy.observed import Intensity

NOON = 1516449600.0
UK_REPLY = '{"data": [{"from": "2018-01-20T12:00Z", "to": "2018-01-20T12:30Z", "intensity": {"forecast": 266, "actual": 263}}]}'
MAPS_REPLY = '{"zone": "DE", "carbonIntensity": 302, "datetime": "2018-01-20T12:00:00.000Z", "isEstimated": false}'


@dataclass
class Script:
    """A source that answers what a test tells it to, one after the other; the last again and again."""

    answers: list = field(default_factory=list)
    poll_seconds: float = 0.001
    asked: int = 0

    async def ask(self, _session):
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


@pytest.fixture
def node():
    with fake_node() as node:
        yield node


async def test_the_uk_service(node, session):
    """Great Britain's service is asked for the country, or for a region by either of its names."""
    for path in ("/intensity", "/regional/postcode/RG10", "/regional/regionid/13"):
        node.says(path, UK_REPLY)
    intensities = [
        await service.ask(session)
        for service in (uk_service(url=node.url), uk_service(postcode="RG10", url=node.url), uk_service(region=13, url=node.url))
    ]
    assert intensities == [Intensity(263.0, "uk_carbon_intensity", NOON)] * 3
    assert node.asked == ["/intensity", "/regional/postcode/RG10", "/regional/regionid/13"]


async def test_electricity_maps(node, session):
    """Electricity Maps is asked for the zone, with the token in its own header; the token is not shown."""
    node.says("/v3/carbon-intensity/latest", MAPS_REPLY)
    service = electricity_maps_service(zone="DE", token="secret", url=node.url)
    assert await service.ask(session) == Intensity(302.0, "electricity_maps", NOON)
    assert node.asked == ["/v3/carbon-intensity/latest?zone=DE"]
    assert node.headers[0]["auth-token"] == "secret"
    assert "secret" not in repr(service)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"body": "{}", "status": 401}, "it answers 401"),
        ({"body": "", "status": 302, "headers": {"Location": "/elsewhere"}}, "it answers 302"),
        ({"body": b"1" * (1024 * 1024 + 1)}, "the reply is too long"),
        ({"body": "<html>"}, "the reply is no JSON"),
    ],
)
async def test_a_service_that_refuses(node, session, options, reason):
    """Other statuses, redirects and replies without end are reasons; nothing is asked elsewhere."""
    node.says("/intensity", **options)
    with pytest.raises(IntensityError, match=reason):
        await uk_service(url=node.url).ask(session)
    assert node.asked == ["/intensity"]


async def test_a_service_that_hangs_or_is_gone(node, session, monkeypatch):
    """Neither holds anything up."""
    hold = asyncio.Event()
    loop = asyncio.get_running_loop()
    node.says("/intensity", UK_REPLY, wait=lambda: asyncio.run_coroutine_threadsafe(hold.wait(), loop).result())
    monkeypatch.setattr(grid_module, "_TIMEOUT", aiohttp.ClientTimeout(total=0.05))
    with pytest.raises(IntensityError, match="no answer in time"):
        await uk_service(url=node.url).ask(session)
    hold.set()
    with pytest.raises(IntensityError, match="Cannot connect"):
        await uk_service(url="http://127.0.0.1:1").ask(session)


async def test_a_file_is_read_anew(tmp_path, session):
    """What was written since is what counts, as old as the file is."""
    path = tmp_path / "carbon"
    path.write_text("380")
    os.utime(path, (NOON, NOON))
    source = GridFile(path)
    assert await source.ask(session) == Intensity(380.0, "file", NOON)
    path.write_text('{"gco2e_per_kwh": 120, "at": "2018-01-20T12:00Z"}')
    assert await source.ask(session) == Intensity(120.0, "file", NOON)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file or directory"), (b"\xff\xfe", "not readable as text"), (b"much", "neither a number nor JSON")],
)
async def test_a_file_that_is_none(tmp_path, session, content, reason):
    """The reason names the file."""
    path = tmp_path / "carbon"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntensityError, match=f"carbon: {reason}"):
        await GridFile(path).ask(session)


async def test_the_last_answer_stays_until_it_is_too_old(session):
    """A source that fails is no reason to forget; age is, and then the emissions are unknown."""
    now = NOON
    grid = Grid(Script([Intensity(360.0, "file", NOON), IntensityError("gone")]), stale_seconds=3600.0, clock=lambda: now)
    carbon = Carbon(1.5, source=grid)
    energy = Energy(joules=3_600_000.0)
    assert carbon.of(energy).gco2e is None
    await grid.poll(session)
    assert carbon.of(energy).gco2e == 540.0
    await grid.poll(session)
    now = NOON + 3600.0
    assert (carbon.of(energy).gco2e, grid.problem) == (540.0, "gone")
    now = NOON + 3601.0
    assert carbon.of(energy).gco2e is None
    assert carbon.intensity is None


async def test_a_problem_is_said_once(session):
    """Each reason goes to the log when it comes, and its end too."""
    answers = [IntensityError("gone"), IntensityError("gone"), Intensity(1.0, "file", 0.0), IntensityError("gone")]
    grid = Grid(Script(answers), stale_seconds=3600.0, clock=lambda: 0.0)
    with capture_logs() as logs:
        for _ in answers:
            await grid.poll(session)
    assert [(line["log_level"], line.get("reason")) for line in logs] == [
        ("warning", "gone"),
        ("info", None),
        ("warning", "gone"),
    ]


async def test_it_is_kept_up_to_date(session):
    """The background task asks again and again until it is cancelled."""
    script = Script([IntensityError("not yet"), Intensity(1.0, "file"), Intensity(2.0, "file")])
    grid = Grid(script, stale_seconds=3600.0)
    task = asyncio.create_task(grid.run(session))
    await until(lambda: grid() == Intensity(2.0, "file"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
