"""A metric as data."""

from jevons.exporters.metric import Label, Metric


def test_labels_keep_their_order():
    """In which values are given when a series is made."""
    metric = Metric("jevons_x_total", "counter", "", (Label("upstream"), Label("type", ("prompt", "completion"))), "Help.")
    assert metric.label_names == ("upstream", "type")
