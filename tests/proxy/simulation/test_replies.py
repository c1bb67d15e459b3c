"""What replies have in common: usage, the bytes of an event, the words of an error."""

import pytest

from jevons.proxy.errors import ModelNotFound
from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.answers import write_answers
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.quirks import ErrorShape, Quirks, ReasoningCount, ReasoningField, StreamUsage
from jevons.proxy.simulation.replies import DONE, Event, Job, Tally, chat_usage, encode_event, error_body, whole_usage

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "n": 2, "max_tokens": 4, "stream": True}


def job_of(quirks=None, thinks=Reasoning.ALWAYS, **options):
    quirks = quirks or Quirks()
    asked = read_asked(Endpoint.CHAT, {**BODY, **({"stream_options": options} if options else {})})
    return Job("id", 0, asked, write_answers(asked, thinks, quirks), 3, quirks, thinks is not Reasoning.NEVER)


def test_usage_has_every_count():
    """Prompt, completion, cached and reasoning tokens, where the server reports them."""
    assert chat_usage(job_of(), 8, 5) == {
        "prompt_tokens": 6,
        "total_tokens": 14,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


@pytest.mark.parametrize(
    ("quirks", "thinks", "extra"),
    [
        (Quirks(reports_cached_tokens=False, reasoning_count=ReasoningCount.FLAT), Reasoning.ALWAYS, {"reasoning_tokens": 5}),
        (Quirks(reports_cached_tokens=False, reasoning_count=ReasoningCount.NONE), Reasoning.ALWAYS, {}),
        (Quirks(reports_cached_tokens=False, reasoning_field=ReasoningField.THINK_TAGS), Reasoning.ALWAYS, {}),
        (Quirks(reports_cached_tokens=False), Reasoning.NEVER, {}),
    ],
)
def test_usage_where_servers_differ(quirks, thinks, extra):
    """SGLang is flat; who cannot tell thinking apart, or never thinks, says nothing of it."""
    assert chat_usage(job_of(quirks, thinks), 8, 5) == {
        "prompt_tokens": 6,
        "total_tokens": 14,
        "completion_tokens": 8,
        **extra,
    }


def test_a_server_without_usage_has_no_field_for_it():
    """The JSON reply of a server that never says has no `usage` at all."""
    assert whole_usage(job_of(Quirks(stream_usage=StreamUsage.NEVER))) == {}
    assert whole_usage(job_of())["usage"]["completion_tokens"] == 8


@pytest.mark.parametrize(
    ("quirks", "options", "middle", "last", "extra"),
    [
        (Quirks(), {}, None, None, False),
        (Quirks(), {"include_usage": True}, None, None, True),
        (Quirks(), {"include_usage": True, "continuous_usage_stats": True}, 1, 1, True),
        (Quirks(stream_usage=StreamUsage.FINISH_CHUNK), {}, None, 1, False),
        (Quirks(stream_usage=StreamUsage.ZEROS), {}, 0, 1, False),
        (Quirks(stream_usage=StreamUsage.NEVER), {"include_usage": True}, None, None, False),
    ],
)
def test_where_a_stream_carries_its_usage(quirks, options, middle, last, extra):
    """In an extra chunk, in every chunk, in the finish chunk, as zeros, or nowhere."""
    tally = Tally(job_of(quirks, **options))
    tally.add(1, 1, is_reasoning=True)
    usages = [tally.chunk_usage(is_last=is_last) for is_last in (False, True)]
    assert [usage and usage["completion_tokens"] for usage in usages] == [middle, last]
    assert tally.wants_usage_chunk() is extra


@pytest.mark.parametrize(
    ("event", "crlf", "raw"),
    [
        (Event({"a": "é"}), False, 'data: {"a":"é"}\n\n'),
        (Event(DONE), False, "data: [DONE]\n\n"),
        (Event({"a": 1}, "ping"), False, 'event: ping\ndata: {"a":1}\n\n'),
        (Event({"a": 1}, "ping"), True, 'event: ping\r\ndata: {"a":1}\r\n\r\n'),
    ],
)
def test_an_event_on_the_wire(event, crlf, raw):
    """UTF-8, not escaped, one line of data, the name before it where there is one."""
    assert encode_event(event, uses_crlf=crlf) == raw.encode()


@pytest.mark.parametrize(
    ("shape", "endpoint", "body"),
    [
        (ErrorShape.OPENAI, None, {"error": {"message": "M", "type": "Not Found", "param": "model", "code": 404}}),
        (
            ErrorShape.FLAT,
            None,
            {"object": "error", "message": "M", "type": "Not Found", "param": "model", "code": 404},
        ),
        (ErrorShape.STRING, None, {"error": "M"}),
        (ErrorShape.DETAIL, Endpoint.CHAT, {"detail": "M"}),
        (ErrorShape.OPENAI, Endpoint.MESSAGES, {"type": "error", "error": {"type": "invalid_request_error", "message": "M"}}),
    ],
)
def test_an_error_in_every_shape(shape, endpoint, body):
    """Each kind of server words the same error differently."""
    error = ModelNotFound("x")
    error.message = "M"
    assert error_body(error, shape, endpoint) == body
