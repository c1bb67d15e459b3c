"""The main listener: what a client may send and how it is told that it may not, and what jevons answers itself."""

import asyncio
import json

import pytest
from proxy_client import BODIES, CHAT
from scripted_upstream import http_reply, replies
from simulated_upstream import MODEL

from jevons.proxy.simulation.quirks import Hang, Quirks

pytest_plugins = ["proxy_fixture"]

SMALL = {"limits": {"body_bytes": 1000, "body_seconds": 0.2}}


def fields(**headers):
    """The headers of a raw request."""
    return {
        "host": "test",
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }


# Bodies


async def test_a_body_that_says_it_is_too_large_is_not_read(start_upstream, start_proxy):
    """413 while not a byte of it has been sent."""
    proxy = await start_proxy(await start_upstream())
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", fields(content_length=32 * 2**20 + 1))
        async with asyncio.timeout(5):
            reply = await client.reply()
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert reply.error["message"] == "The body is larger than 33554432 bytes."


async def test_a_body_that_grows_too_large_is_read_no_further(start_upstream, start_proxy):
    """An upload in chunks, whose length nobody knows, is cut off at the limit."""
    proxy = await start_proxy(await start_upstream(), **SMALL)
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", fields(transfer_encoding="chunked"), b"3e9\r\n" + b" " * 1001 + b"\r\n")
        async with asyncio.timeout(5):
            reply = await client.reply()
    assert (reply.status, reply.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_unread(start_upstream, start_proxy, encoding):
    """415: how large it is nobody knows before it is unpacked."""
    proxy = await start_proxy(await start_upstream())
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", fields(content_encoding=encoding, content_length=100))
        async with asyncio.timeout(5):
            reply = await client.reply()
    assert (reply.status, reply.error["code"]) == (415, "unsupported_content_encoding")


async def test_a_body_that_does_not_come_is_given_up(start_upstream, start_proxy):
    """408 after `limits.body_seconds`, for inference and for feedback."""
    proxy = await start_proxy(await start_upstream(), **SMALL)
    for path in (CHAT, "/v1/feedback"):
        async with proxy.dial() as client:
            await client.head(f"POST {path}", fields(content_length=100), b'{"model":')
            async with asyncio.timeout(5):
                reply = await client.reply()
        assert (reply.status, reply.error["code"]) == (408, "request_timeout")
        assert reply.error["message"] == "The body did not arrive in 0.2 s."


async def test_a_body_in_pieces_is_a_body(start_upstream, start_proxy):
    """However it is cut, and in chunks too."""
    proxy = await start_proxy(await start_upstream())
    body = json.dumps({"model": "auto", **BODIES[CHAT], "max_tokens": 2}).encode()
    async with proxy.dial() as client:
        await client.head(f"POST {CHAT}", fields(transfer_encoding="chunked"))
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            client.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        client.writer.write(b"0\r\n\r\n")
        reply = await client.reply()
    assert reply.status == 200


async def test_twenty_megabytes_pass(start_scripted, start_proxy):
    """An agent's whole context arrives as it was sent."""
    upstream = await start_scripted(replies(http_reply(b"{}")))
    proxy = await start_proxy(upstream)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "\u2615 x" * 4_000_000}]}, separators=(",", ":"))
    body = body.encode()
    assert len(body) > 20 * 2**20
    reply = await proxy.post(CHAT, body)
    assert reply.status == 200
    assert upstream.calls[0].body == body


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        (CHAT, b"", None, "The body is empty: expected a JSON object."),
        (CHAT, b"{", None, "The body is not valid JSON"),
        (CHAT, b"[]", None, "The body must be a JSON object"),
        (CHAT, b'{"messages":[]}', "model", "`model` is missing."),
        (CHAT, b'{"model":7,"messages":[]}', "model", "`model`: "),
        (CHAT, b'{"model":"auto"}', "messages", "`messages` is missing."),
        (CHAT, b'{"model":"auto","messages":[{"content":7}]}', "messages[0].content", "`messages[0].content`: "),
        (CHAT, b'{"model":"auto","messages":[],"n":0}', "n", "`n` must lie between 1 and 128."),
        (CHAT, b'{"model":"auto","messages":' + b"[" * 101 + b"]" * 101 + b"}", None, "nested deeper than 100 levels"),
        ("/v1/audio/transcriptions", b'{"model":"auto"}', "content-type", "Expected multipart/form-data"),
    ],
)
async def test_a_body_that_is_no_request_is_400(start_upstream, start_proxy, path, body, param, message):
    """In OpenAI's shape, with the parameter named, before anything is sent on."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    reply = await proxy.post(path, body)
    assert reply.status == 400
    assert reply.error["type"] == "invalid_request_error"
    assert reply.error["param"] == param
    assert message in reply.error["message"]
    assert not upstream.server.received


@pytest.mark.parametrize(
    ("name", "value"), [("x-jevons-tier", "cheap"), ("x-jevons-energy", "now"), ("x-jevons-session", "caf\xe9")]
)
async def test_a_header_of_ours_that_says_nothing_is_400(start_upstream, start_proxy, name, value):
    """The header is named."""
    proxy = await start_proxy(await start_upstream())
    async with proxy.dial() as client:
        await client.post(CHAT, BODIES[CHAT], {name: value})
        reply = await client.reply()
    assert (reply.status, reply.error["param"]) == (400, name)


async def test_a_content_type_that_cannot_be_sent_on_is_400(start_scripted, start_proxy):
    """A form's own content type goes to the upstream: it must be one."""
    upstream = await start_scripted(replies(http_reply(b"{}")))
    proxy = await start_proxy(upstream)
    form = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nauto\r\n--x--\r\n'
    async with proxy.dial() as client:
        await client.post("/v1/audio/transcriptions", form, {"content-type": 'multipart/form-data; boundary=x; n="caf\xe9"'})
        reply = await client.reply()
    assert (reply.status, reply.error["param"]) == (400, "content-type")
    reply = await proxy.post("/v1/audio/transcriptions", form, {"content-type": "multipart/form-data; boundary=x"})
    assert reply.status == 200
    assert upstream.calls[0].headers["content-type"] == "multipart/form-data; boundary=x"
    assert upstream.calls[0].body == form.replace(b"auto", MODEL.encode())


# Headers


async def test_only_listed_headers_reach_the_upstream(start_scripted, start_proxy):
    """The client's credentials, cookies and what would steer the server stay here; the upstream's own key is sent."""
    upstream = await start_scripted(replies(http_reply(b"{}")))
    proxy = await start_proxy({"url": upstream.url, "api_key": "ours", "dialect": "sglang"})
    steering = ["authorization", "cookie", "x-api-key", "x-override-rid", "x-data-parallel-rank", "x-body-compressed"]
    steering += ["x-forwarded-for", "x-jevons-tier", "x-jevons-session", "origin", "te", "proxy-authorization", "x-request-id"]
    passed = {"user-agent": "me", "traceparent": "00-1-2-01", "openai-beta": "b", "anthropic-version": "2023-06-01"}
    reply = await proxy.post(CHAT, BODIES[CHAT], {**dict.fromkeys(steering, "direct"), **passed, "accept-encoding": "gzip"})
    assert reply.status == 200
    headers = upstream.calls[0].headers
    own = {"authorization": "Bearer ours", "via": "1.1 jevons", "accept-encoding": "identity", "content-type": "application/json"}
    technical = {"host", "content-length", "accept"}
    assert {name: value for name, value in headers.items() if name not in technical} == {**own, **passed}


@pytest.mark.parametrize("kind", ["whole", "stream", "error"])
async def test_only_listed_headers_reach_the_client(start_scripted, start_proxy, kind):
    """The upstream's cookies, its name and its own ids stay here; what a client acts upon is passed on, if it can be."""
    steering = (
        "set-cookie: a=b\r\nserver: uvicorn\r\nx-request-id: theirs\r\nx-jevons-upstream: me\r\nlocation: /\r\nvia: 1.1 nginx\r\n"
    )
    passed = "cache-control: no-cache\r\nx-ratelimit-remaining-requests: 7\r\nretry-after: caf\xe9\r\nx-should-retry: false\r\n"
    body = b'data: {"choices":[{"finish_reason":"stop"}]}\n\n' if kind == "stream" else b"{}"
    content_type = "text/event-stream" if kind == "stream" else "application/json"
    reply = http_reply(body, 500 if kind == "error" else 200, content_type, steering + passed)
    proxy = await start_proxy(await start_scripted(replies(reply)))
    headers = (await proxy.post(CHAT, BODIES[CHAT])).headers
    assert not {"set-cookie", "location", "via", "retry-after"} & headers.keys()
    assert "uvicorn" not in headers.get("server", "")
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-jevons-upstream"] == "chat"
    assert headers["x-jevons-route"] == "default:direct;to=chat"
    assert headers["cache-control"] == "no-cache"
    assert headers["x-ratelimit-remaining-requests"] == "7"
    assert headers["x-should-retry"] == "false"
    assert headers["content-type"] == content_type


# What jevons answers itself


async def test_the_models_are_auto_the_names_and_the_models(start_upstream, start_proxy):
    """Each once; one of them by its name, with slashes or without."""
    model = "meta-llama/Llama-3.1/8B"
    upstream = await start_upstream()
    proxy = await start_proxy({"url": upstream.url, "model": model}, {"url": upstream.url, "model": model})
    listing = (await proxy.get("/v1/models")).json
    assert listing["object"] == "list"
    assert [entry["id"] for entry in listing["data"]] == ["auto", "chat", "chat-2", model]
    for entry in listing["data"]:
        assert entry.keys() == {"id", "object", "created", "owned_by"}
        for path in (entry["id"], entry["id"].replace("/", "%2F")):
            assert (await proxy.get(f"/v1/models/{path}")).json == entry
    reply = await proxy.get("/v1/models/gpt-5")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "model_not_found", "model")


async def test_the_energy_of_a_request_is_there_by_its_id(start_upstream, start_proxy):
    """In flight, after its end, and final: the same shape each time, as the contract lists it."""
    upstream = await start_upstream(quirks=Quirks(hang=Hang.BEFORE_FIRST_CHUNK))
    proxy = await start_proxy(upstream)
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": True}, {"x-request-id": "mine"})
        _, headers = await client.reply_head()
        first = await proxy.energy(headers["x-request-id"])
        assert (first["outcome"], first["energy"]["status"]) == (None, "provisional")
    upstream.server.quirks = Quirks()
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5}, {"x-request-id": "mine"})
    provisional, final = await proxy.energy(reply.id), await proxy.settled(reply.id)
    assert provisional["energy"]["status"] == "provisional"
    assert final["energy"]["status"] == "final"
    for record in (first, provisional, final):
        assert list(record) == [
            *("request_id", "client_request_id", "started_at", "upstream", "model", "route", "reasons", "tokens", "energy"),
            *("cost_usd", "attempts", "outcome"),
        ]
        assert record["client_request_id"] == "mine"
        assert (record["upstream"], record["model"]) == ("chat", MODEL)
        assert record["route"] == "default:direct;to=chat"
        assert list(record["energy"]) == ["joules", "low", "high", "method", "status", "scope", "quality"]
        assert record["attempts"][0]["upstream"] == "chat"
    assert final["energy"]["low"] <= final["energy"]["joules"] <= final["energy"]["high"]
    assert (final["energy"]["method"], final["energy"]["scope"]) == ("simulated", "gpu")
    reply = await proxy.get("/v1/energy/req_0")
    assert (reply.status, reply.error["code"], reply.error["param"]) == (404, "not_found", "request_id")


async def test_feedback_is_kept_and_may_be_given_again(start_upstream, start_proxy):
    """The same score twice is once; the last one counts."""
    proxy = await start_proxy(await start_upstream())
    request_id = (await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2})).id
    for score in (1, 1, 0.25, 0):
        reply = await proxy.post("/v1/feedback", json.dumps({"request_id": request_id, "score": score}).encode())
        assert (reply.status, reply.json) == (200, {"request_id": request_id, "score": score})
        assert proxy.app.records.score(request_id) == score


async def test_feedback_may_follow_at_once(start_upstream, start_proxy):
    """As soon as a client has seen the end of its stream the request can be scored, and its energy asked for."""
    proxy = await start_proxy(await start_upstream())
    async with proxy.dial() as client:
        for _ in range(20):
            await client.post(CHAT, {**BODIES[CHAT], "max_tokens": 2, "stream": True})
            _, headers = await client.reply_head()
            await client.reader.readuntil(b"\r\n0\r\n\r\n")
            scored = await proxy.request("POST", "/v1/feedback", json={"request_id": headers["x-request-id"], "score": 1})
            assert scored.status == 200
            assert (await proxy.energy(headers["x-request-id"]))["outcome"] == "ok"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b'{"request_id":"req_0","score":1}', 404, "request_id"),
        (b'{"request_id":"req_0","score":1.01}', 400, "score"),
        (b'{"request_id":"req_0","score":-0.1}', 400, "score"),
        (b'{"request_id":"req_0","score":"good"}', 400, "score"),
        (b'{"request_id":"req_0","score":true}', 400, "score"),
        (b'{"request_id":"req_0"}', 400, "score"),
        (b'{"request_id":7,"score":1}', 400, "request_id"),
        (b'{"score":1}', 400, "request_id"),
        (b'{"request_id":"req_0","score":1,"why":"x"}', 400, "why"),
        (b"[1]", 400, None),
        (b"{", 400, None),
        (b"", 400, None),
        (b'{"request_id":"\xff","score":1}', 400, None),
        (b'{"request_id":' + b"[" * 100_000, 400, "request_id"),
    ],
)
async def test_feedback_that_cannot_be_taken_names_its_field(start_upstream, start_proxy, body, status, param):
    """Unknown, out of range, of the wrong kind, missing, or too much."""
    proxy = await start_proxy(await start_upstream())
    reply = await proxy.post("/v1/feedback", body)
    assert (reply.status, reply.error["param"]) == (status, param)
    assert param is None or param in reply.error["message"] or status == 404


OTHERS = {
    "/v1/embeddings": {"input": ["Hello", "there"]},
    "/v1/rerank": {"query": "Hello", "documents": ["Hello", "you"]},
}


@pytest.mark.parametrize("path", OTHERS)
async def test_what_only_reads_is_metered_too(start_upstream, start_proxy, path):
    """Embeddings and rerank decode nothing and cost something."""
    proxy = await start_proxy(await start_upstream())
    reply = await proxy.post(path, OTHERS[path])
    assert reply.status == 200
    assert reply.json["usage"]["energy"]["status"] == "provisional"
    record = await proxy.settled(reply.id)
    assert record["energy"]["joules"] > 0
    assert record["tokens"]["prompt"] > 0


@pytest.mark.parametrize(
    ("media", "url", "status"),
    [
        (None, "http://10.0.0.1/a.png", 200),
        ("data-only", "http://10.0.0.1/a.png", 400),
        ("data-only", "data:image/png;base64,AA", 200),
        (["images.example.com"], "https://images.example.com/a.png", 200),
        (["images.example.com"], "https://10.0.0.1/a.png", 400),
    ],
)
async def test_what_a_server_may_be_told_to_fetch(start_upstream, start_proxy, media, url, status):
    """On loopback anything, unless it is limited; what is refused never reaches the server."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(upstream, **({} if media is None else {"limits": {"media": media}}))
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    reply = await proxy.post(CHAT, {"messages": [{"role": "user", "content": content}], "max_tokens": 2})
    assert reply.status == status
    assert bool(upstream.server.received) == (status == 200)
    if status == 400:
        assert reply.error["param"] == "messages"
