"""Grafana dashboards, generated: the panels as data, and `build` that turns them into the Classic model."""
