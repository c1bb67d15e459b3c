"""An answer as policies see it: nothing is assumed of what was not said."""

from jevons.policies.answer import Answer


def test_an_answer_of_which_nothing_is_known():
    """No schema, no tools and no probabilities: none of them can be a fault."""
    assert Answer() == Answer(text="", finish_reason=None, refusal=None, tool_calls=(), mean_logprob=None, schema=None, tools={})
