"""What a body tells a policy about its prompt."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Prompt
from jevons.proxy.wire.bodies import IMAGE_TOKENS, Asked, Chat, Inputs, Responses, count_ids, estimate_tokens


def read(kind: type[Asked], **fields: object) -> Asked:
    return msgspec.json.decode(msgspec.json.encode({"model": "m", **fields}), type=kind)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def test_the_last_user_turn_and_the_whole_conversation_are_told_apart() -> None:
    """Rules look at what is asked now; its length and its context come from every turn."""
    asked = read(
        Chat,
        messages=[
            {"role": "system", "content": "Be brief."},
            user("Hello"),
            {"role": "assistant", "content": None, "tool_calls": [{}]},
            {"role": "tool", "content": "42"},
            user([{"type": "text", "text": "Why"}, {"type": "image_url", "image_url": {"url": "data:"}}, "?"]),
        ],
    )
    text = "Be brief.\nHello\n42\nWhy\n?"
    assert asked.read_prompt() == Prompt(
        text="Why\n?",
        conversation=text,
        answered=len("Be brief.\nHello"),
        system="Be brief.",
        tokens=-(-len(text) // 4) + IMAGE_TOKENS,
        has=frozenset({"images"}),
    )


def test_a_messages_body_has_its_system_prompt_and_tool_results() -> None:
    """Anthropic's `system` and the text within a tool's result count; a turn of results is no question."""
    result = {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": [{"type": "text", "text": "12 °C"}, {"type": "image", "source": {}}],
    }
    odd = {"type": "web_search_tool_result", "content": {"type": "error"}}
    asked = read(Chat, system=[{"type": "text", "text": "Be kind."}], messages=[user("Weather?"), user([result, odd])])
    prompt = asked.read_prompt()
    assert prompt.conversation == "Be kind.\nWeather?\n12 °C"
    assert prompt.text == "12 °C"
    assert prompt.has == {"images"}


def test_a_responses_body_has_items_of_many_kinds() -> None:
    """Instructions, turns and tools' outputs are text; the rest is skipped."""
    asked = read(
        Responses,
        instructions="Be brief.",
        input=[
            user([{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:"}]),
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "1", "output": "42"},
            {"type": "computer_call_output", "output": {"type": "screenshot"}},
            {"type": "item_reference", "id": "x"},
        ],
        text={"format": {"type": "json_schema", "schema": {}}},
        reasoning={"effort": "high"},
    )
    prompt = asked.read_prompt()
    assert (prompt.text, prompt.conversation) == ("Look", "Be brief.\nLook\n42")
    assert prompt.has == {"images", "json_schema"}
    assert asked.effort == "high"
    assert read(Responses, input="Hello").read_prompt().text == "Hello"


@pytest.mark.parametrize(
    ("field", "has"),
    [
        ({"tools": [{"type": "function"}]}, {"tools"}),
        ({"functions": [{"name": "f"}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"guided_json": {"type": "object"}}, {"json_schema"}),
        ({"json_schema": {}}, set()),
    ],
)
def test_what_a_request_has_is_seen(field: dict[str, object], has: set[str]) -> None:
    """Tools and schemas are found under each server's name; empty ones are none."""
    assert read(Chat, messages=[user("x")], **field).read_prompt().has == has


@pytest.mark.parametrize(
    ("text", "has_code"),
    [
        ("Fix ```x = 1```", True),
        ("It said\nTraceback (most recent call last)\n  File", True),
        ("TypeError: x\n    at foo (file.js:1:2)", True),
        ("Exception\n\tat com.example.Main(Main.java:3)", True),
        ("thread 'main' panicked at src/main.rs:2", True),
        ("panic: x\n\ngoroutine 1 [running]:", True),
        ("Meet me\n   at home", False),
        ("Write a poem", False),
    ],
)
def test_code_is_a_fence_or_a_trace(text: str, *, has_code: bool) -> None:
    """Error traces of several languages count as code, prose does not."""
    assert ("code" in read(Chat, messages=[user(text)]).read_prompt().has) is has_code


def test_code_in_the_system_prompt_says_nothing_about_the_question() -> None:
    """Agents' instructions are full of fences."""
    messages = [{"role": "system", "content": "Use ```"}, user("Hello")]
    assert read(Chat, messages=messages).read_prompt().has == set()


@pytest.mark.parametrize(
    ("fields", "prompts", "text", "tokens"),
    [
        ({"prompt": "Once upon"}, 1, "Once upon", 3),
        ({"prompt": ["a", "b", "c"]}, 3, "a\nb\nc", 2),
        ({"prompt": [1, 2, 3]}, 1, "", 3),
        ({"prompt": [[1, 2], [3]]}, 2, "", 3),
        ({"prompt": []}, 1, "", 0),
        ({}, 1, "", 0),
        ({"input": ["one", {"text": "two"}]}, 2, "one\ntwo", 2),
        ({"query": "q", "documents": ["a", {"text": "b"}, {"image": "data:"}]}, 3, "q\na\nb", 2),
        ({"query": {"content": []}, "documents": {"content": []}}, 1, "", 0),
    ],
)
def test_lists_of_prompts_are_counted(fields: dict[str, object], prompts: int, text: str, tokens: int) -> None:
    """Each entry is a prompt, but a list of numbers is one prompt that the client tokenised."""
    asked = read(Inputs, **fields)
    assert asked.prompts == prompts
    assert asked.read_prompt() == Prompt(text, text, tokens=tokens)


def test_tokens_are_estimated_from_bytes() -> None:
    """Four UTF-8 bytes to a token, rounded up; an image is a constant."""
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcde") == 2
    assert estimate_tokens("日本語") == 3
    assert estimate_tokens("abcd", extra_bytes=4, images=2) == 2 + 2 * IMAGE_TOKENS


IDS = st.lists(st.integers(-3, 10**12))
NESTED = st.recursive(
    st.one_of(st.integers(), st.none(), st.booleans(), st.floats(), st.text(max_size=3)), st.lists, max_leaves=8
)


@given(st.one_of(IDS, st.lists(IDS), st.lists(st.one_of(st.integers(), IDS)), st.lists(NESTED)), st.sampled_from([None, 1]))
def test_ids_that_are_counted_are_as_many_as_there_are(given_input: list[object], indent: int | None) -> None:
    """However they are written: one prompt or several, empty ones among them; what is not all ids is left to the decoder."""
    counts = count_ids(msgspec.Raw(json.dumps(given_input, indent=indent).encode()))
    are_ids = all(type(entry) is int for entry in given_input)
    are_lists = bool(given_input) and all(
        isinstance(entry, list) and all(type(each) is int for each in entry) for entry in given_input
    )
    assert (counts is not None) == (are_ids or are_lists)
    if counts is not None:
        asked = read(Inputs, prompt=given_input)
        assert counts == (asked.prompts, asked.read_prompt().tokens)


@pytest.mark.parametrize("raw", [b"null", b"7", b'"[1]"', b"{}", b"[[[1]]]", b"[1,[2],3]", b"[[1],2]", b"[1.5]", b"[[1],[[2]]]"])
def test_whatever_is_no_list_of_ids_is_not_counted(raw: bytes) -> None:
    """A text, numbers that are no ids, lists too deep, ids beside lists of ids."""
    assert count_ids(msgspec.Raw(raw)) is None


def test_code_is_found_wherever_it_stands() -> None:
    """A long text is searched piece by piece, and a stack's line may lie across two of them."""
    for place in (0, 65_530, 65_536, 200_000):
        asked = read(Chat, messages=[user("x" * place + "\n    at Object.run (main.js:1:2)\n" + "y" * 70_000)])
        assert asked.read_prompt().has == {"code"}
    assert not read(Chat, messages=[user("x\n  at home\n" * 20_000)]).read_prompt().has
