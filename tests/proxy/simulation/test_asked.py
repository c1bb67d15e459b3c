"""Reading request bodies: what matters of them, and an error that names the field where they are wrong."""

import pytest

from jevons.proxy.errors import BadRequest
from jevons.proxy.exchange import Endpoint
from jevons.proxy.simulation.asked import IMAGE_TOKENS, read_asked, text_of
from jevons.proxy.simulation.words import count_tokens

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CLOCK = {"type": "function", "function": {"name": "clock"}}


def chat(text="Hello there", **fields):
    return read_asked(Endpoint.CHAT, {"model": "m", "messages": [{"role": "user", "content": text}], **fields})


def test_a_chat_counts_all_its_turns():
    """Every turn counts, with what the template adds; the last user turn stands apart."""
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "First"}]},
        {"role": "assistant", "content": "Yes"},
        {"role": "user", "content": "Second question"},
    ]
    asked = read_asked(Endpoint.CHAT, {"model": "m", "messages": turns})
    assert asked.last_text == "Second question"
    assert asked.prompt_tokens == sum(map(count_tokens, ["Be kind.", "First", "Yes", "Second question"])) + 4 * 4


def test_images_and_tools_count_too():
    """An image counts as a fixed number of tokens, tools as the text they are rendered to."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert chat([image]).prompt_tokens == IMAGE_TOKENS + 4
    assert chat(tools=[WEATHER]).prompt_tokens > chat().prompt_tokens


def test_messages_and_responses_have_their_system_prompt():
    """`system` and `instructions` belong to the prompt, as do input items of any kind."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    plain, with_system = (read_asked(Endpoint.MESSAGES, {**body, **more}) for more in ({}, {"system": "Be brief."}))
    assert with_system.prompt_tokens == plain.prompt_tokens + count_tokens("Be brief.")
    items = [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}, {"type": "function_call_output", "output": "7"}]
    asked = read_asked(Endpoint.RESPONSES, {"model": "m", "input": items, "instructions": "Be brief."})
    assert asked.last_text == "Hi"
    assert asked.prompt_tokens == 1 + 1 + count_tokens("Be brief.") + 2 * 4
    assert read_asked(Endpoint.RESPONSES, {"model": "m", "input": "Hi"}).last_text == "Hi"


@pytest.mark.parametrize(
    ("prompt", "lengths"),
    [("hello", [2]), (["hello", "you"], [2, 1]), ([5, 6, 7], [3]), ([[5, 6], [7]], [2, 1]), ([""], [1])],
)
def test_completions_take_texts_and_token_ids(prompt, lengths):
    """A text, token ids, or a list of either, as many prompts as there are."""
    asked = read_asked(Endpoint.COMPLETIONS, {"model": "m", "prompt": prompt, "n": 2})
    assert [len(tokens) for tokens in asked.prompts] == lengths
    assert asked.sequences == 2 * len(lengths)


def test_rerank_reads_query_and_document_together():
    """Each document makes a prompt with the query."""
    asked = read_asked(Endpoint.RERANK, {"model": "m", "query": "abcd", "documents": ["efgh ij", {"text": "kl"}]})
    assert [len(prompt) for prompt in asked.prompts] == [3, 2]
    assert asked.last_text == "abcd"


@pytest.mark.parametrize(
    ("endpoint", "body", "param"),
    [
        (Endpoint.CHAT, {"messages": [{"role": "user", "content": "Hi"}]}, "model"),
        (Endpoint.CHAT, {"model": "m"}, "messages"),
        (Endpoint.CHAT, {"model": "m", "messages": ["Hi"]}, "messages"),
        (Endpoint.CHAT, {"model": "m", "messages": [{"content": "Hi"}], "n": 0}, "n"),
        (Endpoint.CHAT, {"model": "m", "messages": [{"content": "Hi"}], "max_tokens": "many"}, "max_tokens"),
        (Endpoint.CHAT, {"model": "m", "messages": [{"content": "Hi"}], "stream_options": {}}, "stream_options"),
        (Endpoint.MESSAGES, {"model": "m", "messages": [{"content": "Hi"}]}, "max_tokens"),
        (Endpoint.COMPLETIONS, {"model": "m"}, "prompt"),
        (Endpoint.COMPLETIONS, {"model": "m", "prompt": [{}]}, "prompt"),
        (Endpoint.EMBEDDINGS, {"model": "m", "input": 7}, "input"),
        (Endpoint.RERANK, {"model": "m", "query": "q", "documents": []}, "documents"),
        (
            Endpoint.CHAT,
            {"model": "m", "messages": [{"content": "Hi"}], "tools": [CLOCK], "tool_choice": {"function": {"name": "none"}}},
            "tool_choice",
        ),
    ],
)
def test_errors_name_the_field(endpoint, body, param):
    """What is missing or wrong is refused under its name."""
    with pytest.raises(BadRequest) as caught:
        read_asked(endpoint, body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"chat_template_kwargs": {"thinking": True}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning": {"effort": "low"}}, True),
    ],
)
def test_the_thinking_switch_has_many_names(fields, expected):
    """Every switch that the servers we know understand."""
    assert chat(**fields).thinking is expected


def test_the_limit_of_tokens_has_three_names():
    """The newer name counts where both are given."""
    assert chat().max_tokens is None
    assert chat(max_tokens=5).max_tokens == 5
    assert chat(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert read_asked(Endpoint.RESPONSES, {"model": "m", "input": "Hi", "max_output_tokens": 3}).max_tokens == 3


def test_stream_options_are_read():
    """Continuous usage needs include_usage, as in vLLM."""
    asked = chat(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
    assert asked.include_usage
    assert asked.continuous_usage
    assert not chat(stream=True, stream_options={"continuous_usage_stats": True}).continuous_usage


def test_logprobs_are_read_as_each_endpoint_words_them():
    """Chat has a flag and a count, completions a count."""
    assert chat().top_logprobs is None
    assert chat(logprobs=True).top_logprobs == 0
    assert chat(logprobs=True, top_logprobs=3).top_logprobs == 3
    assert read_asked(Endpoint.COMPLETIONS, {"model": "m", "prompt": "p", "logprobs": 2}).top_logprobs == 2


@pytest.mark.parametrize(
    ("text", "choice", "called"),
    [
        ("What time is it?", None, None),
        ("call clock now", None, "clock"),
        ("Call whatever", "auto", "weather"),
        ("call clock", "none", None),
        ("Hello", "required", "weather"),
        ("Hello", {"type": "any"}, "weather"),
        ("Hello", {"type": "function", "function": {"name": "clock"}}, "clock"),
        ("Hello", {"type": "function", "name": "clock"}, "clock"),
    ],
)
def test_when_a_tool_is_called(text, choice, called):
    """Where the choice names or demands one, or the user's text begins with "call "."""
    asked = chat(text, tools=[WEATHER, CLOCK], tool_choice=choice)
    assert (asked.tool.name if asked.tool else None) == called


def test_tools_are_read_as_each_endpoint_words_them():
    """Nested as in chat, flat as in responses, with `input_schema` as in messages."""
    flat = {"type": "function", "name": "flat", "parameters": {"a": 1}}
    anthropic = {"name": "anthropic", "input_schema": {"b": 2}}
    assert chat("call flat", tools=[flat, anthropic]).tool.parameters == {"a": 1}
    assert chat("call anthropic", tools=[flat, anthropic]).tool.parameters == {"b": 2}


@pytest.mark.parametrize("value", [None, 7, {"type": "audio"}, []])
def test_what_holds_no_text_has_none(value):
    """Parts without text count for nothing instead of failing."""
    assert text_of(value) == ""
