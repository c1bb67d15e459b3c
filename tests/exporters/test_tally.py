"""Counters that cost an addition are, once collected, what prometheus_client would have counted."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from jevons.exporters.catalogue import IN_FLIGHT, REQUEST_DURATION, REQUESTS
from jevons.exporters.tally import Amounts, Spreads


def samples(family):
    """Name, labels and value of each."""
    return [(sample.name, tuple(sample.labels.values()), sample.value) for sample in family.samples]


def test_every_combination_is_there_from_the_start():
    """What has counted nothing is 0 and not absent."""
    amounts = Amounts(REQUESTS, ("chat", "other"), ("ok", "cancelled"))
    assert [value for _, _, value in samples(amounts.family())] == [0.0] * 4
    amounts["chat", "ok"].inc()
    amounts["chat", "ok"].inc(2)
    assert ("jevons_requests_total", ("chat", "ok"), 3.0) in samples(amounts.family())


def test_what_nobody_foresaw_is_counted_too():
    """A series more, kept from then on."""
    amounts = Amounts(IN_FLIGHT, ("chat",))
    amounts[("late",)].inc()
    amounts[("late",)].dec()
    assert samples(amounts.family()) == [(IN_FLIGHT.name, ("chat",), 0.0), (IN_FLIGHT.name, ("late",), 0.0)]
    spreads = Spreads(REQUEST_DURATION)
    spreads[("late",)].observe(1.0)
    assert spreads[("late",)].total == 1.0


@given(st.lists(st.sampled_from([0.0, 0.05, 0.050001, 1, 3600, 3601, 1e9])))
def test_a_histogram_is_the_librarys(values):
    """The same buckets, bounds included, the same count and the same sum."""
    registry = CollectorRegistry()
    theirs = Histogram(REQUEST_DURATION.name, "h", ("upstream",), registry=registry, buckets=REQUEST_DURATION.buckets)
    ours = Spreads(REQUEST_DURATION, ("chat",))
    theirs.labels("chat")
    for value in values:
        theirs.labels("chat").observe(value)
        ours[("chat",)].observe(value)
    (family,) = registry.collect()
    wanted = [sample for sample in samples(family) if not sample[0].endswith("_created")]
    assert sorted(map(str, samples(ours.family()))) == sorted(map(str, wanted))


def test_what_one_process_counted_another_shows():
    """Once each, counters and histograms; a gauge is each process's own."""
    mine, whole = Amounts(REQUESTS, ("chat",), ("ok",)), Amounts(REQUESTS, ("chat",), ("ok",))
    mine["chat", "ok"].inc(3)
    for change in [*mine.take(), *mine.take()]:
        whole.add(change)
    assert whole["chat", "ok"].value == 3.0
    seconds, all_seconds = Spreads(REQUEST_DURATION, ("chat",)), Spreads(REQUEST_DURATION, ("chat",))
    seconds[("chat",)].observe(1.0)
    all_seconds[("chat",)].observe(2.0)
    for change in [*seconds.take(), *seconds.take()]:
        all_seconds.add(change)
    assert (all_seconds[("chat",)].total, sum(all_seconds[("chat",)].counts)) == (3.0, 2)
    gauge = Amounts(IN_FLIGHT, ("chat",))
    gauge[("chat",)].inc()
    assert list(gauge.take()) == []
