"""The simulated answers: the right length and kinds, cut where the caller wants them cut."""

import json

import pytest

from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.answers import Kind, does_think, write_answers, write_arguments
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.quirks import Quirks, ReasoningField


def ask(text="Hello", **fields):
    return read_asked(Endpoint.CHAT, {"model": "m", "messages": [{"role": "user", "content": text}], **fields})


@pytest.mark.parametrize(
    ("thinks", "switch", "ignores", "expected"),
    [
        (Reasoning.NEVER, True, False, False),
        (Reasoning.ALWAYS, False, False, True),
        (Reasoning.SWITCHABLE, None, False, True),
        (Reasoning.SWITCHABLE, True, False, True),
        (Reasoning.SWITCHABLE, False, False, False),
        (Reasoning.SWITCHABLE, False, True, True),
    ],
)
def test_who_thinks(thinks, switch, ignores, expected):
    """The switch works only where there is one, and where the server heeds it."""
    asked = ask(chat_template_kwargs={} if switch is None else {"enable_thinking": switch})
    assert does_think(asked, thinks, Quirks(ignores_thinking_switch=ignores)) is expected


def test_thinking_comes_first_and_is_counted():
    """A thinking model's answer begins with its thinking, and the plain part is what it would be without."""
    [thoughtful] = write_answers(ask(), Reasoning.ALWAYS, Quirks())
    [plain] = write_answers(ask(), Reasoning.NEVER, Quirks())
    assert thoughtful.text(Kind.CONTENT) == plain.text(Kind.CONTENT)
    assert plain.text(Kind.REASONING) == ""
    kinds = [token.kind for token in thoughtful.tokens]
    assert kinds == [Kind.REASONING] * thoughtful.reasoning_tokens + [Kind.CONTENT] * len(plain.tokens)
    assert len(thoughtful.tokens) > 5 * len(plain.tokens)


def test_think_tags_hide_the_thinking_in_the_content():
    """A server without a parser puts it all into the content and counts none of it."""
    [answer] = write_answers(ask(), Reasoning.ALWAYS, Quirks(reasoning_field=ReasoningField.THINK_TAGS))
    text = answer.text(Kind.CONTENT)
    assert text.startswith("<think>\n")
    assert text.count("\n</think>\n\n") == 1
    assert answer.reasoning_tokens == 0
    assert answer.text(Kind.REASONING) == ""


def test_max_tokens_cuts_the_thinking_too():
    """The limit counts thinking; what is cut short ends by `length`."""
    [answer] = write_answers(ask(max_tokens=10), Reasoning.ALWAYS, Quirks())
    assert len(answer.tokens) == answer.reasoning_tokens == 10
    assert answer.finish_reason == "length"
    [short] = write_answers(ask(max_tokens=1000), Reasoning.NEVER, Quirks())
    assert short.finish_reason == "stop"


def test_n_answers_differ_and_a_seed_changes_them():
    """Each of `n` is another text; the same request again gives the same ones, another seed others."""
    first = [answer.text(Kind.CONTENT) for answer in write_answers(ask(n=3), Reasoning.NEVER, Quirks())]
    again = [answer.text(Kind.CONTENT) for answer in write_answers(ask(n=3), Reasoning.NEVER, Quirks())]
    other = [answer.text(Kind.CONTENT) for answer in write_answers(ask(n=3, seed=7), Reasoning.NEVER, Quirks())]
    assert first == again
    assert len({*first, *other}) == 6


def test_a_tool_call_has_arguments_that_fit_the_schema():
    """Every property gets a value of its type, nested ones too, as valid JSON."""
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "warmth": {"type": "number"},
            "metric": {"type": "boolean"},
            "unit": {"enum": ["C", "F"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "place": {"type": "object", "properties": {"lat": {"type": "number"}}},
        },
    }
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    [answer] = write_answers(ask(tools=[tool], tool_choice="required"), Reasoning.NEVER, Quirks())
    assert answer.finish_reason == "tool_calls"
    assert answer.tool.name == "weather"
    values = json.loads(answer.text(Kind.ARGUMENTS))
    assert values.keys() == schema["properties"].keys()
    assert values["unit"] in {"C", "F"}
    kinds = {name: type(value) for name, value in values.items()}
    assert kinds["city"] is str
    assert kinds["days"] is int
    assert kinds["warmth"] is float
    assert kinds["metric"] is bool
    assert isinstance(values["tags"][0], str)
    assert values["place"].keys() == {"lat"}


def test_a_schema_without_properties_gives_no_arguments():
    """Nothing is made up for a tool that takes nothing."""
    assert write_arguments({}, b"seed") == {}


@pytest.mark.parametrize(("fields", "tokens"), [({"min_tokens": 700}, 700), ({"min_tokens": 700, "max_tokens": 400}, 400)])
def test_an_answer_goes_on_as_long_as_it_is_asked_to(fields, tokens):
    """`min_tokens` makes it longer than the model would, up to `max_tokens`; none asked for changes nothing."""
    [answer] = write_answers(ask(**fields), Reasoning.NEVER, Quirks())
    assert len(answer.tokens) == tokens
    [plain], [none] = write_answers(ask(), Reasoning.NEVER, Quirks()), write_answers(ask(min_tokens=0), Reasoning.NEVER, Quirks())
    assert plain == none
    assert len(plain.tokens) < 400
