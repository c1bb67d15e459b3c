"""Tests of what a meter is."""

import pytest

from jevons.proxy.metering.meter import Device, Sample


@pytest.mark.parametrize(
    ("name", "is_simulated"),
    [("NVIDIA H100 (simulated)", True), ("NVIDIA H100", False), ("(simulated) H100", False), ("", False)],
)
def test_a_name_that_ends_so_is_simulated(name, is_simulated):
    """The mark stands at the end of the device's name."""
    assert Device("GPU-0", name).is_simulated is is_simulated


def test_a_sample_is_unknown_unless_it_says_otherwise():
    """Nothing read is None, never 0."""
    sample = Sample("GPU-0", 1.0, problem="GPU is lost")
    assert (sample.joules, sample.watts) == (None, None)
