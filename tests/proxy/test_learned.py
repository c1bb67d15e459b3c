"""The energy models that a running proxy has learned, as they are read off its metrics."""

from dataclasses import astuple

import aiohttp
import pytest
from aiohttp import web

from jevons.proxy.exchange import Coefficients
from jevons.proxy.learned import ask_learned, read_coefficients
from jevons.proxy.metering.attribution import Attribution

LEARNED = Coefficients(3.2, 0.05, 3e-5, 0.02)
TERMS = ("fixed_joules_per_step", "joules_per_token", "joules_per_context_token", "joules_per_prompt_token")
PAGE = "# TYPE jevons_coefficient gauge\n" + "".join(
    f'jevons_coefficient{{upstream="chat",term="{term}"}} {value}\n' for term, value in zip(TERMS, astuple(LEARNED), strict=True)
)


@pytest.fixture
async def admin():
    """A listener that gives the page to who has the token."""

    async def metrics(request):
        is_let_in = request.headers.get("authorization") == "Bearer secret"
        return web.Response(text=PAGE) if is_let_in else web.Response(status=401)

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_running_proxy_is_asked(admin):
    """With the token its coefficients come back; without it, nothing is known."""
    async with aiohttp.ClientSession() as session:
        assert await ask_learned(session, admin, "secret") == {"chat": LEARNED}
        assert await ask_learned(session, admin, None) is None


async def test_no_proxy_runs(unused_tcp_port):
    """Nobody at the address is no error."""
    async with aiohttp.ClientSession() as session:
        assert await ask_learned(session, f"http://127.0.0.1:{unused_tcp_port}", None) is None


def test_other_pages_have_none():
    """A page without the metric, or with some of its terms only, gives no coefficients; one that is none is a ValueError."""
    assert read_coefficients("up 1\n") == {}
    assert read_coefficients('jevons_coefficient{upstream="chat",term="joules_per_token"} 1\n') == {}
    with pytest.raises(ValueError, match="html"):
        read_coefficients("<html>never mind</html>")


def test_what_metering_tells_is_what_it_has_learned():
    """The state that the metrics show has the coefficients learned, in measured joules; until then those it started from."""
    attribution = Attribution()
    start = Coefficients(1.0, 0.1, 0.0, 0.1)
    attribution.add_engine("chat", start, [])
    assert attribution.state(0.0).coefficients == {"chat": start}
    attribution.engines["chat"].fit.measured = LEARNED
    assert attribution.state(0.0).coefficients == {"chat": LEARNED}
