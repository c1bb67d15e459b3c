"""The words for what others tell us."""

import pytest

from jevons.proxy.observed import Intensity, ServedTokens


def test_what_was_told_stays_as_it_was_told():
    """Nobody changes a reading after it was taken."""
    served, intensity = ServedTokens(1.0, 2.0), Intensity(380.0, "constant")
    with pytest.raises(AttributeError):
        served.prompt = 5.0
    with pytest.raises(AttributeError):
        intensity.at = 5.0
