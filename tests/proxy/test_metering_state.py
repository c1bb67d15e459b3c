"""Tests of the words for metering's state."""

import pytest

from jevons.proxy.metering_state import BypassState, MeteringState


def test_bypass_by_kind():
    """Tokens as the metrics name them."""
    assert BypassState(is_watched=True, prompt_tokens=7.0, output_tokens=2.0).tokens == {"prompt": 7.0, "output": 2.0}
    assert BypassState(is_watched=False).tokens == {"prompt": 0.0, "output": 0.0}


def test_a_state_is_a_snapshot():
    """Nobody changes what has been taken; at first there is nothing."""
    state = MeteringState()
    assert (state.devices, state.coefficients, state.bypass, state.intensity) == ((), {}, {}, None)
    with pytest.raises(AttributeError):
        state.settle_lag_seconds = 1.0
