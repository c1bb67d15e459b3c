"""Tests of what a trace says of itself."""

from attribution_world import trace

from jevons.proxy.bench.attribution.trace import Job, Served


def test_only_what_went_through_the_proxy_is_judged():
    """Requests past the proxy have no charge to be held against anything, and early ones are not counted."""
    found = trace("bypass", seconds=8.0)
    judged = found.judged(0.0)
    assert judged
    assert not any(served.is_bypass for served in judged)
    assert len(judged) < len(found.requests)
    assert found.judged(found.end) == []


def test_who_has_fewer_tokens_has_left():
    """A client that went away, whose usage nobody sent."""
    served = Served("r0", Job(10, 20, sequences=2), "engine-0", 0.0, tokens=40)
    assert not served.left_early
    served.tokens = 39
    assert served.left_early
