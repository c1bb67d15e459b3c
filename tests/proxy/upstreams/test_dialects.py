"""What each kind of server takes, on the wire: nothing is sent that it would refuse."""

import json

import pytest
from proxy_client import BODIES, CHAT

from jevons.proxy.exchange import Dialect, Reasoning
from jevons.proxy.upstreams.dialects import can_inject_usage, takes_request_id, thinking_changes

pytest_plugins = ["proxy_fixture"]

BY_EFFORT = {Dialect.OPENAI, Dialect.OLLAMA}


@pytest.mark.parametrize("dialect", Dialect)
def test_the_switch_of_each_dialect(dialect):
    """Each server's own field; of a template's arguments the client's are kept, and both names of the switch are set."""
    off = thinking_changes(dialect, thinking=False, template_kwargs={"a": 1})
    on = thinking_changes(dialect, thinking=True, template_kwargs={"a": 1, "thinking": False})
    if dialect in BY_EFFORT:
        assert (off, on) == ({"reasoning_effort": "none"}, {"reasoning_effort": "medium"})
    elif dialect is Dialect.DEEPSEEK:
        assert (off, on) == ({"thinking": {"type": "disabled"}}, {"thinking": {"type": "enabled"}})
    else:
        assert off == {"chat_template_kwargs": {"a": 1, "enable_thinking": False, "thinking": False}}
        assert on == {"chat_template_kwargs": {"a": 1, "enable_thinking": True, "thinking": True}}


def test_usage_is_asked_of_all_but_those_that_send_it_anyway():
    """`transformers serve` has it in every stream, and may refuse to be asked."""
    assert [dialect for dialect in Dialect if not can_inject_usage(dialect)] == [Dialect.TRANSFORMERS]


def test_request_ids_are_for_vllm_alone():
    """Elsewhere the header is ignored, or becomes a key that must be unique."""
    assert [dialect for dialect in Dialect if takes_request_id(dialect)] == [Dialect.VLLM]


@pytest.mark.parametrize("dialect", [dialect.value for dialect in Dialect])
async def test_every_dialect_on_the_wire(start_upstream, start_proxy, dialect):
    """A hybrid model behind each kind of server thinks when it is told to, and the request carries what that server takes."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE, owned_by="nobody", remembers=2)
    proxy = await start_proxy({"url": upstream.url, "dialect": dialect, "reasoning": "switchable"})
    await proxy.ready()
    for tier in ("direct", "reasoning"):
        body = {**BODIES[CHAT], "max_tokens": 10, "stream": True}
        reply = await proxy.post(CHAT, body, {"x-jevons-tier": tier, "x-request-id": "mine"})
        received = upstream.server.received[-1]
        assert reply.status == 200
        assert (b"reasoning_content" in reply.body) == (tier == "reasoning")
        assert ("stream_options" in json.loads(received.body)) == (dialect != "transformers")
        ids = [value for name, value in received.headers.items() if name.lower() == "x-request-id"]
        assert ids == (["mine"] if dialect == "vllm" else [])
        assert (await proxy.energy(reply.id))["client_request_id"] == "mine"
