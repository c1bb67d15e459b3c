"""Tests of the columns of the table."""

import pytest
from attribution_world import trace

from jevons.proxy.bench.attribution.methods import METHODS


@pytest.fixture(scope="module")
def mixed():
    return trace("mixed")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_charges_every_request(mixed, method):
    """And only ours have accounts and bounds."""
    charges, outcome = method.run(mixed)
    assert charges.keys() >= {served.name for served in mixed.judged(0.0)}
    assert (outcome is not None) == method.is_ours
