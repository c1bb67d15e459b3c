"""One snapshot for all who scrape within a second: shared, fresh where that is asked for, and nothing kept of what failed."""

import asyncio
import re
import threading

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from jevons.proxy.scraping import FRESH, SNAPSHOT_TIME
from jevons.proxy.server.admin import Admin
from jevons.proxy.server.scrapes import MOST_PAGES, SHARED_SECONDS, Scrapes, wants_fresh

pytest_plugins = ["proxy_fixture"]


class Counting:
    """Metrics that tell how often they were taken and rendered, and in which threads; `fault` is raised by the next rendering."""

    def __init__(self):
        self.taken = self.rendered = 0
        self.threads = set()
        self.fault = None

    def take(self):
        self.taken += 1
        number = self.taken

        def render(accept):
            self.rendered += 1
            self.threads.add(threading.current_thread())
            fault, self.fault = self.fault, None
            if fault is not None:
                raise fault
            return f"{number} for {accept}".encode(), "text/plain"

        return render


class Clock:
    """Goes when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


async def test_two_within_a_second_see_the_same():
    """The snapshot is taken anew once it is a second old, and not before."""
    metrics, clock = Counting(), Clock()
    scrapes = Scrapes(metrics, clock=clock)
    first = await scrapes.page("text/plain")
    clock.now += SHARED_SECONDS - 0.001
    assert await scrapes.page("text/plain") == first
    assert (metrics.taken, metrics.rendered) == (1, 1)
    clock.now += 0.001
    assert await scrapes.page("text/plain") == (b"2 for text/plain", "text/plain")


async def test_fifty_at_once_render_once():
    """Off the loop. Who wants a fresh one gets one from after the call: one for the first, one for all that came meanwhile."""
    metrics = Counting()
    scrapes = Scrapes(metrics)
    assert len({page async for page in pages(scrapes, 50)}) == 1
    assert (metrics.taken, metrics.rendered) == (1, 1)
    fresh = [page async for page in pages(scrapes, 50, is_fresh=True)]
    assert fresh == [(b"2 for text/plain", "text/plain")] + 49 * [(b"3 for text/plain", "text/plain")]
    assert (metrics.taken, metrics.rendered) == (3, 3)
    await scrapes.page("application/openmetrics-text")
    assert (metrics.taken, metrics.rendered) == (3, 4)
    assert threading.main_thread() not in metrics.threads


async def pages(scrapes, count, *, is_fresh=False):
    """So many scrapes at the same time."""
    for page in await asyncio.gather(*(scrapes.page("text/plain", is_fresh=is_fresh) for _ in range(count))):
        yield page


async def test_fresh_is_taken_after_it_was_asked_for():
    """A snapshot on its way when the question comes is not the answer to it; who asked meanwhile shares the next."""
    metrics, gate = Counting(), asyncio.Event()
    scrapes = Scrapes(metrics, before_shown=gate.wait, clock=Clock())
    early = asyncio.create_task(scrapes.page("a"))
    await asyncio.sleep(0)
    late = [asyncio.create_task(scrapes.page("a", is_fresh=True)) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert (await early)[0] == b"1 for a"
    assert {(await each)[0] for each in late} == {b"2 for a"}
    assert (await scrapes.page("a"))[0] == b"2 for a"


async def test_the_accept_header_cannot_fill_the_memory():
    """Of one snapshot a few pages are kept, whatever clients ask for."""
    scrapes = Scrapes(Counting(), clock=Clock())
    for place in range(3 * MOST_PAGES):
        await scrapes.page(f"text/{place}")
    assert len(scrapes._last.pages) <= MOST_PAGES


async def test_what_fails_is_not_kept():
    """Neither the fault nor the snapshot that it came of; a taking that fails leaves nothing either."""
    metrics, shown = Counting(), []

    async def keep():
        shown.append(metrics.taken)
        if len(shown) == 2:
            raise OSError("disk full")

    scrapes = Scrapes(metrics, before_shown=keep, clock=Clock())
    metrics.fault = ValueError("no such label")
    with pytest.raises(ValueError, match="no such label"):
        await scrapes.page("a")
    with pytest.raises(OSError, match="disk full"):
        await scrapes.page("a")
    assert (await scrapes.page("a"))[0] == b"3 for a"
    metrics.fault = ValueError("no such label")
    with pytest.raises(ValueError, match="no such label"):
        await scrapes.page("b")
    assert (await scrapes.page("a"))[0] == b"4 for a"


async def test_who_leaves_takes_nothing_with_him():
    """A scrape that is broken off in the middle leaves the next one to begin anew."""
    metrics, gate = Counting(), asyncio.Event()
    scrapes = Scrapes(metrics, before_shown=gate.wait, clock=Clock())
    leaving = asyncio.create_task(scrapes.page("a"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.set()
    assert (await scrapes.page("a"))[0] == b"2 for a"


async def test_a_rendering_that_fails_is_a_500_with_its_reason():
    """The next scrape is well again; and it is logged."""
    metrics = Counting()
    admin = Admin(metrics=metrics, health=dict, is_ready=lambda: True, token=None)
    async with TestClient(TestServer(admin.app())) as client:
        metrics.fault = ValueError("no such label")
        with capture_logs() as logs:
            async with client.get("/metrics") as reply:
                assert (reply.status, await reply.text()) == (
                    500,
                    "The metrics cannot be rendered: ValueError: no such label\n",
                )
        assert [entry["event"] for entry in logs] == ["metrics cannot be rendered"]
        async with client.get("/metrics") as reply:
            assert reply.status == 200


@pytest.mark.parametrize(
    ("header", "is_fresh"),
    [("", False), ("max-age=10", False), ("no-cache", True), ("No-Cache", True), ("x, no-store", True), ("max-age=0", True)],
)
def test_fresh_is_said_as_http_says_it(header, is_fresh):
    """By `Cache-Control`, as a browser's reload does."""
    assert wants_fresh(header) is is_fresh


async def test_the_real_page_is_shared_and_conserved(start_upstream, start_proxy):
    """Two scrapes within a second are the same bytes; a fresh one has a later time; in each the accounts are the device."""
    proxy = await start_proxy(await start_upstream())

    async def scrape(**headers):
        async with proxy.session.get(f"{proxy.admin}/metrics", headers=headers) as reply:
            assert reply.status == 200
            return await reply.read()

    before = asyncio.get_running_loop().time()
    first, second = await asyncio.gather(scrape(), scrape())
    third = await scrape()
    assert first == second
    assert third == first or asyncio.get_running_loop().time() - before >= SHARED_SECONDS
    fresh = await scrape(**FRESH)
    assert taken_at(fresh) > taken_at(third)
    for page in (first, third, fresh):
        samples = [sample for family in text_string_to_metric_families(page.decode()) for sample in family.samples]
        accounts = [sample.value for sample in samples if sample.name == "jevons_energy_joules_total"]
        (device,) = [sample.value for sample in samples if sample.name == "jevons_device_energy_joules_total"]
        assert sum(accounts) == pytest.approx(device, rel=1e-12)


def taken_at(page):
    """The snapshot's own time."""
    return float(re.search(rf"^{SNAPSHOT_TIME} (\S+)$", page.decode(), re.MULTILINE)[1])
