"""What each kind of server takes, on the wire: nothing is sent that it would refuse."""

import json

import pytest
from proxy_client import BODIES, CHAT

from jevons.proxy.exchange import Dialect, Endpoint, Reasoning, Target, Thinking, Upstream, Usage
from jevons.proxy.upstreams.dialects import can_inject_usage, is_not_honoured, takes_request_id, thinking_changes

pytest_plugins = ["proxy_fixture"]

BY_EFFORT = {Dialect.OPENAI, Dialect.OLLAMA, Dialect.LITELLM}


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


EFFORT_IN_TEMPLATE = {Dialect.LLAMA_CPP, Dialect.TRANSFORMERS, Dialect.AUTO}
SWITCH_ON = {"chat_template_kwargs": {"enable_thinking": True, "thinking": True}}


@pytest.mark.parametrize("dialect", Dialect)
def test_an_effort_of_each_dialect(dialect):
    """Beside the switch where there is one; a template's argument where the server has no field; DeepSeek's own has none."""
    changes = thinking_changes(dialect, thinking=True, template_kwargs={}, how=Thinking(effort="low"))
    if dialect in BY_EFFORT:
        assert changes == {"reasoning_effort": "low"}
    elif dialect is Dialect.DEEPSEEK:
        assert changes == {"thinking": {"type": "enabled"}}
    elif dialect in EFFORT_IN_TEMPLATE:
        assert changes == {"chat_template_kwargs": {**SWITCH_ON["chat_template_kwargs"], "reasoning_effort": "low"}}
    else:
        assert changes == {**SWITCH_ON, "reasoning_effort": "low"}


@pytest.mark.parametrize(("tokens", "effort"), [(1, "low"), (1024, "low"), (1025, "medium"), (8192, "medium"), (8193, "high")])
def test_a_budget_is_an_effort_where_there_are_no_budgets(tokens, effort):
    """The number of tokens goes to vLLM, and to the others the effort that comes nearest."""
    how = Thinking(budget_tokens=tokens)
    assert thinking_changes(Dialect.VLLM, thinking=True, template_kwargs={}, how=how) == {
        **SWITCH_ON,
        "thinking_token_budget": tokens,
    }
    assert thinking_changes(Dialect.OLLAMA, thinking=True, template_kwargs={}, how=how) == {"reasoning_effort": effort}
    assert thinking_changes(Dialect.SGLANG, thinking=True, template_kwargs={}, how=how)["reasoning_effort"] == effort


def test_a_model_that_always_thinks_has_no_switch():
    """Only how much is said then; and what is off has no effort."""
    how = Thinking(effort="high")
    assert thinking_changes(Dialect.VLLM, thinking=None, template_kwargs={"a": 1}, how=how) == {"reasoning_effort": "high"}
    assert thinking_changes(Dialect.DEEPSEEK, thinking=None, template_kwargs={}, how=how) == {}
    assert thinking_changes(Dialect.OPENAI, thinking=None, template_kwargs={}) == {}
    assert thinking_changes(Dialect.OPENAI, thinking=False, template_kwargs={}, how=how) == {"reasoning_effort": "none"}


def test_responses_have_their_efforts_elsewhere():
    """`reasoning.effort`, as the Responses API calls it."""
    changes = thinking_changes(Dialect.OPENAI, thinking=True, template_kwargs={}, endpoint=Endpoint.RESPONSES)
    assert changes == {"reasoning": {"effort": "medium"}}


UPSTREAM = Upstream("hybrid", "http://h/v1", "m", Reasoning.SWITCHABLE)


@pytest.mark.parametrize(
    ("thinking", "how", "usage", "is_so"),
    [
        (False, None, Usage(reasoning=5, completion=9), True),
        (False, None, Usage(reasoning=0, completion=9), False),
        (False, None, Usage(completion=9), False),
        (True, None, Usage(reasoning=0, completion=9), True),
        (True, None, Usage(completion=9), False),
        (True, None, Usage(reasoning=900, completion=1000), False),
        (True, Thinking(budget_tokens=100), Usage(reasoning=151, completion=1000), True),
        (True, Thinking(budget_tokens=100), Usage(reasoning=150, completion=1000), False),
        (True, None, Usage(reasoning=0, completion=0), False),
    ],
)
def test_what_was_not_honoured(thinking, how, usage, is_so):
    """Thought though off, not though on as far as that is known, or far beyond the budget."""
    assert is_not_honoured(Target(UPSTREAM, thinking=thinking, how=how), usage) is is_so


def test_usage_is_asked_of_all_but_those_that_send_it_anyway():
    """`transformers serve` has it in every stream, and may refuse to be asked."""
    assert [dialect for dialect in Dialect if not can_inject_usage(dialect)] == [Dialect.TRANSFORMERS]


def test_request_ids_are_for_vllm_alone():
    """Elsewhere the header is ignored, or becomes a key that must be unique."""
    assert [dialect for dialect in Dialect if takes_request_id(dialect)] == [Dialect.VLLM]


@pytest.mark.parametrize("dialect", [dialect.value for dialect in Dialect if dialect is not Dialect.LITELLM])  # it is no server
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
