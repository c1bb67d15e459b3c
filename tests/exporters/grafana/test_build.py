"""Tests of the generated dashboards: what is committed is what is generated, and Grafana's own model takes it."""

from __future__ import annotations

import json

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from source_tree import ROOT

from jevons.exporters.grafana.build import BOARDS, dashboard_json, import_json, write

FOLDER = ROOT / "exporters" / "grafana"
boards = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


@boards
def test_the_committed_files_are_the_generated_ones(board, tmp_path):
    """Else run `make docs`."""
    write(tmp_path)
    for name in (f"dashboards/{board.uid}.json", f"import/{board.uid}.json"):
        assert (FOLDER / name).read_text() == (tmp_path / name).read_text()


@boards
def test_grafanas_model_takes_it_and_loses_nothing(board):
    """Read by the SDK's model of a dashboard and written again it is the same, so that every key is one that Grafana knows."""
    made = dashboard_json(board)
    again = json.loads(json.dumps(Dashboard.from_json(made), cls=JSONEncoder))
    assert again == {key: value for key, value in made.items() if key != "id"}
    assert made["schemaVersion"] == 41
    assert made["id"] is None
    assert made["uid"] == board.uid


@boards
def test_every_panel_and_query_names_the_source_by_the_variable(board):
    """A dashboard that names a data source of the author's works for nobody else; and every panel says what it shows."""
    panels = [panel for panel in dashboard_json(board)["panels"] if panel["type"] != "row"]
    assert panels
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert 'job=~"$job"' in target["expr"]


@boards
def test_panels_do_not_overlap_and_have_numbers_of_their_own(board):
    """On the grid of 24 columns."""
    panels = dashboard_json(board)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for place in (panel["gridPos"] for panel in panels):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


@boards
def test_the_import_asks_for_the_source(board):
    """By `__inputs`, with no variable left that would ask again."""
    made = import_json(board)
    assert [asked["name"] for asked in made["__inputs"]] == ["DS_PROMETHEUS"]
    assert "${datasource}" not in json.dumps(made)
    assert "datasource" not in [variable["type"] for variable in made["templating"]["list"]]
    assert "${DS_PROMETHEUS}" in json.dumps(made)


def test_no_uid_twice():
    """Or the second would replace the first."""
    assert len({board.uid for board in BOARDS}) == len(BOARDS) == 4
