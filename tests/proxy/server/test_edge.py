"""What every request meets first: its id, who asks, loops; and the errors of the door, in OpenAI's shape."""

import asyncio
from itertools import product

import pytest
from proxy_client import BODIES, CHAT, free_port

from jevons.proxy.keys import new_key

pytest_plugins = ["proxy_fixture"]


@pytest.fixture
async def keyed_proxy(start_upstream, start_proxy, tmp_path):
    """A proxy with two tenants, the upstream behind it, and the tenants' keys."""
    keys = {tenant: new_key(tenant, f"{tenant}-key") for tenant in ("alice", "bob")}
    (tmp_path / "keys.yaml").write_text("".join(line for _, line in keys.values()))
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(upstream, auth={"keys_file": str(tmp_path / "keys.yaml")})
    return proxy, upstream.server, {tenant: key for tenant, (key, _) in keys.items()}


def bearer(key):
    """The header that shows a key."""
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "No API key provided: send `Authorization: Bearer …`."),
        ({"authorization": "Bearer"}, "No API key provided: send `Authorization: Bearer …`."),
        ({"authorization": "Basic abc"}, "No API key provided: send `Authorization: Bearer …`."),
        ({"authorization": "Bearer jev-wrong"}, "Incorrect API key provided."),
        ({"authorization": "Bearer caf\xe9"}, "Incorrect API key provided."),
        ({"x-api-key": "jev-wrong"}, "Incorrect API key provided."),
    ],
)
async def test_who_is_unknown_is_refused_before_the_body_is_read(keyed_proxy, headers, message):
    """The 401 comes while not a byte of the body has been sent."""
    proxy, server, _ = keyed_proxy
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", {"host": "test", "content-length": 20_000_000, **headers})
        async with asyncio.timeout(5):
            reply = await client.reply()
    assert reply.status == 401
    assert reply.error["message"] == message
    assert reply.error["code"] == "invalid_api_key"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert not server.received


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/auto", "/v1/energy/x", "/v1/nothing"])
async def test_every_path_wants_a_key(keyed_proxy, path):
    """Also those that do not exist: a stranger learns nothing."""
    proxy, _, keys = keyed_proxy
    assert (await proxy.get(path)).status == 401
    assert (await proxy.get(path, headers=bearer(keys["alice"]))).status in {200, 404}


async def test_a_key_opens_and_is_not_passed_on(keyed_proxy):
    """As a bearer token in any case, or as Anthropic's clients send it; the upstream never sees it."""
    proxy, server, keys = keyed_proxy
    for headers in (bearer(keys["alice"]), {"authorization": f"bearer  {keys['alice']}"}, {"x-api-key": keys["alice"]}):
        assert (await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2}, headers)).status == 200
        received = server.received[-1]
        assert not {"authorization", "x-api-key"} & {name.lower() for name in received.headers}
        assert keys["alice"] not in str(received)


async def test_a_tenant_sees_its_own_requests_only(keyed_proxy):
    """Another's id is 404, in flight and after, for its energy and for feedback: as one that never was."""
    proxy, _, keys = keyed_proxy
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2}, bearer(keys["alice"]))
    assert (await proxy.energy(reply.id, headers=bearer(keys["alice"])))["request_id"] == reply.id
    other = await proxy.get(f"/v1/energy/{reply.id}", headers=bearer(keys["bob"]))
    never = await proxy.get("/v1/energy/req_0", headers=bearer(keys["bob"]))
    assert (other.status, other.error) == (never.status, never.error) == (404, other.error)
    feedback = {"request_id": reply.id, "score": 1}
    assert (await proxy.post("/v1/feedback", _bytes(feedback), bearer(keys["bob"]))).status == 404
    assert (await proxy.post("/v1/feedback", _bytes(feedback), bearer(keys["alice"]))).status == 200


def _bytes(feedback):
    return f'{{"request_id": "{feedback["request_id"]}", "score": {feedback["score"]}}}'.encode()


@pytest.mark.parametrize("via", [["1.1 jevons"], ["1.1 other, 1.1 Jevons (x)"], ["1.1 other", "1.1 jevons"]])
async def test_a_circle_is_cut(start_upstream, start_proxy, via):
    """A request that has been here before is 508, wherever in its `Via` that stands."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    headers = [("content-type", "application/json"), *(("via", hop) for hop in via)]
    reply = await proxy.request("POST", CHAT, data=b'{"model":"auto","messages":[]}', headers=headers)
    assert (reply.status, reply.error["code"]) == (508, "loop_detected")
    assert not upstream.server.received


async def test_a_proxy_that_points_at_itself_is_a_circle(start_proxy):
    """The request is cut when it comes round, and the client is told."""
    port = free_port()
    proxy = await start_proxy({"url": f"http://127.0.0.1:{port}"}, listen=f"127.0.0.1:{port}")
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.error["code"]) == (508, "loop_detected")


async def test_other_proxies_on_the_way_are_no_circle(start_upstream, start_proxy):
    """A `Via` of somebody else passes, and is not passed on: the upstream sees ours."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2}, {"via": "1.1 notjevons, 1.1 nginx"})
    assert reply.status == 200
    assert {name.lower(): value for name, value in upstream.server.received[0].headers.items()}["via"] == "1.1 jevons"


ELSEWHERE = [
    *("/", "/v1", "/v1/", "/metrics", "/healthz", "/health", "/version", "/tokenize", "/sleep", "/flush_cache", "/api/pull"),
    *("/v1/chat/completions/", "/v1//chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completions%00", "/V1/models"),
    *("/v1/models/", "/v1/energy/", "/v1/energy/a/b", "/v1/../metrics", "/v1/completions;x"),
]


async def test_the_paths_are_an_allow_list(start_upstream, start_proxy):
    """Whatever else a model server may have on its port: 404 in OpenAI's shape, by any method."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    for path, method in product(ELSEWHERE, ("GET", "POST", "DELETE")):
        async with proxy.dial() as client:
            await client.head(f"{method} {path}", {"host": "test", "content-length": 0})
            reply = await client.reply()
            assert (reply.status, reply.error["code"]) == (404, "not_found"), path
            assert reply.headers["x-jevons-version"]
    assert not upstream.server.received


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("HEAD", CHAT, "POST"),
        ("OPTIONS", CHAT, "POST"),
        ("PUT", "/v1/feedback", "POST"),
        ("POST", "/v1/models", "GET"),
        ("HEAD", "/v1/models", "GET"),
        ("OPTIONS", "/v1/models/auto", "GET"),
        ("DELETE", "/v1/energy/x", "GET"),
    ],
)
async def test_the_methods_are_an_allow_list(start_upstream, start_proxy, method, path, allow):
    """The path is there, the method is not: 405 that names what is; no CORS."""
    proxy = await start_proxy(await start_upstream())
    reply = await proxy.request(method, path, headers={"origin": "http://example.com"})
    assert reply.status == 405
    assert reply.headers["allow"] == allow
    assert reply.headers["x-request-id"].startswith("req_")
    assert not [name for name in reply.headers if name.startswith("access-control")]
    if method != "HEAD":
        assert reply.error["code"] == "method_not_allowed"
        assert allow in reply.error["message"]


async def test_every_reply_has_an_id_of_ours_and_the_version(start_upstream, start_proxy):
    """The client's own id is kept beside it; no two requests share one."""
    proxy = await start_proxy(await start_upstream())
    own = {"x-request-id": "mine"}
    seen = [
        await proxy.get("/v1/models", headers=own),
        await proxy.get("/v1/nothing", headers=own),
        await proxy.post(CHAT, b"{", own),
        await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2}, own),
        await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2, "stream": True}, own),
        await proxy.post(CHAT, {**BODIES[CHAT], "model": "gpt-5"}, own),
    ]
    assert [reply.status for reply in seen] == [200, 404, 400, 200, 200, 404]
    assert len({reply.id for reply in seen}) == len(seen)
    assert {reply.headers["x-jevons-version"] for reply in seen} == {proxy.app.version}
    assert all(reply.id.startswith("req_") for reply in seen)
    assert (await proxy.energy(seen[3].id))["client_request_id"] == "mine"


@pytest.fixture
async def limited_proxy(start_upstream, start_proxy, tmp_path):
    """A proxy with a key that may ask six times a minute, and for a model that is not served; and that key."""
    key, line = new_key("alice", "laptop")
    (tmp_path / "keys.yaml").write_text(line.rstrip("}\n") + ", models: [elsewhere], requests_per_minute: 6}\n")
    upstream = await start_upstream(remembers=9)
    return await start_proxy(upstream, auth={"keys_file": str(tmp_path / "keys.yaml")}), upstream.server, key


async def test_a_key_that_asks_too_often_is_told_when_to_come_back(limited_proxy):
    """Before the body is read, on the fast path as on the other, with one count for both."""
    proxy, server, key = limited_proxy
    assert (await proxy.get("/v1/models", headers=bearer(key))).status == 200
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", {"host": "test", "content-length": 20_000_000, **bearer(key)})
        async with asyncio.timeout(5):
            reply = await client.reply()
    assert reply.status == 429
    assert reply.error["code"] == "rate_limit_exceeded"
    assert 0 < int(reply.headers["retry-after"]) <= 10
    assert not server.received


async def test_a_key_sees_the_models_that_it_may_use(limited_proxy):
    """And no others in the list, which says that there are none."""
    proxy, _, key = limited_proxy
    listed = await proxy.get("/v1/models", headers=bearer(key))
    assert [each["id"] for each in listed.json["data"]] == ["auto"]
