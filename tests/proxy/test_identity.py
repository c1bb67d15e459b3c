"""Tests of who asks."""

from jevons.proxy.identity import ANYBODY, Identity


def test_without_keys_everybody_may_have_everything():
    """One tenant, no limit."""
    assert Identity() == ANYBODY
    assert ANYBODY.tenant == "default"
    assert (ANYBODY.ceiling, ANYBODY.models, ANYBODY.requests_per_minute, ANYBODY.is_local_only) == (None, None, None, False)
