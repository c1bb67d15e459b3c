"""How our own verbs read the metrics: the header is the one that the listener heeds, and the metric is one that it serves."""

from jevons.exporters.catalogue import CATALOGUE
from jevons.proxy.scraping import FRESH, SNAPSHOT_TIME
from jevons.proxy.server.scrapes import wants_fresh


def test_the_words_are_those_of_the_listener():
    """Else a verb would measure by a snapshot of up to a second ago, or find no time on the page."""
    assert wants_fresh(FRESH["cache-control"])
    assert SNAPSHOT_TIME in {metric.name for metric in CATALOGUE}
