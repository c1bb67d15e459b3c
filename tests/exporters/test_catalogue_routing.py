"""The words in labels of routing are those that are said elsewhere."""

from jevons.exporters.catalogue_routing import ESCALATION, TIER
from jevons.exporters.metric import OTHER
from jevons.policies.escalate import SIGNALS
from jevons.proxy.exchange import Tier


def test_every_signal_of_an_escalation_has_a_series():
    """Those of the policy, the score that it takes besides, and one for whoever else reviews answers."""
    assert set(ESCALATION.values) == {*SIGNALS, "logprob", OTHER}


def test_the_tiers_are_the_tiers():
    """Else a score would have nowhere to go."""
    assert TIER.values == tuple(tier.value for tier in Tier)
