"""What is known of a proxy that is watched."""

from __future__ import annotations

import aiohttp
import pytest
from live_samples import reading, request, state, tick
from proxy_client import CHAT, free_port
from simulated_upstream import until

from jevons.proxy.reporting.watch import KEPT_REQUESTS, CannotWatch, Watched, follow

pytest_plugins = ["proxy_fixture"]


def test_power_is_joules_over_the_last_seconds():
    """By account, over ten seconds and no more; with one reading nobody knows."""
    watched = Watched()
    watched.take(state([reading(0.0, 1e6)]))
    assert watched.power() == dict.fromkeys(("attributed", "idle", "bypass", "unresolved"))
    watched.take(tick(reading(90.0, 1e6, 500.0)))
    watched.take(tick(reading(100.0, 1e6 + 3000.0, 1250.0)))
    assert watched.power() == {"attributed": 300.0, "idle": 75.0, "bypass": 0.0, "unresolved": 0.0}
    assert watched.history() == [0.0, 300.0]


def test_joules_per_token_are_of_what_is_known():
    """Requests of unknown energy or without tokens do not count; an upstream that has none of others is unknown."""
    watched = Watched()
    others = [request(2, joules=None), request(3, completion=None), request(4, upstream="other")]
    watched.take(state([], [request(1, joules=30.0, completion=10), request(5, joules=10.0, completion=10), *others]))
    assert watched.joules_per_token() == {"chat": 2.0}
    watched.take(tick(reading(1.0), upstreams={"chat": True, "new": False}))
    assert watched.joules_per_token() == {"chat": 2.0, "new": None}


def test_ticks_add_and_a_state_begins_anew():
    """The latest requests are kept, so many; a proxy that came back is not mixed with the one before."""
    watched = Watched()
    assert watched.in_flight is None
    watched.take(state([reading(0.0)], [request(0)]))
    for number in range(1, KEPT_REQUESTS + 20):
        watched.take(tick(reading(float(number), in_flight=number), [request(number)]))
    assert len(watched.requests) == KEPT_REQUESTS
    assert watched.in_flight == KEPT_REQUESTS + 19
    watched.take(state())
    assert (len(watched.requests), watched.watts, watched.version) == (0, None, "0.1.0")


async def test_a_real_proxy_is_followed(start_upstream, start_proxy):
    """Readings come, and so do requests that have ended, as the proxy tells them."""
    proxy = await start_proxy(await start_upstream())
    await proxy.post(CHAT, {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
    await until(lambda: proxy.app.live.state()["requests"])
    async for watched in follow(Watched(), proxy.admin, None):
        if watched.requests and watched.upstreams:
            break
    assert watched.problem is None
    assert watched.requests[0]["upstream"] == "chat"
    assert watched.as_json()["devices"][0]["is_up"]


async def test_a_token_is_asked_for_and_given(start_upstream, start_proxy):
    """Without the admin token it is refused, with a hint; with it the feed comes."""
    proxy = await start_proxy(await start_upstream(), admin_token="open-sesame")
    with pytest.raises(CannotWatch, match=r"answers 401; give --token"):
        async for _ in follow(Watched(), proxy.admin, None):
            pass
    async for watched in follow(Watched(), proxy.admin, "open-sesame"):
        assert watched.problem is None
        break


async def test_a_proxy_that_is_away_is_a_problem_and_no_end():
    """It says why nothing comes, and would ask again."""
    async for watched in follow(Watched(), f"http://127.0.0.1:{free_port()}", None):
        assert "no answer from" in watched.problem
        break


async def test_another_server_cannot_be_watched(start_upstream):
    """Something that has no such page is an error at once."""
    upstream = await start_upstream()
    with pytest.raises((CannotWatch, aiohttp.ClientError), match="no admin listener"):
        async for _ in follow(Watched(), upstream.url, None):
            pass
