"""Tests of the dashboard `devices` as data; that its expressions give figures is proven in e2e/test_dashboards.py."""

from jevons.exporters.grafana.devices import DEVICES


def test_every_panel_can_be_read():
    """A title of its own in its row, a description, a unit, and a legend wherever there are several expressions."""
    for row in DEVICES.rows:
        assert len({panel.title for panel in row.panels}) == len(row.panels)
        for panel in row.panels:
            assert panel.description.endswith(".")
            assert panel.unit
            assert len(panel.queries) == 1 or all(query.legend for query in panel.queries)
