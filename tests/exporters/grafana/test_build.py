"""Tests of the generated dashboards: what is committed is what is generated, and Grafana's own model takes it."""

from __future__ import annotations

import copy
import json

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_schema import dashboard_schema
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
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


@pytest.fixture(scope="module")
def validator():
    """Of the schema that the SDK's classes make."""
    schema = dashboard_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def grafanas_part(path):
    """A committed dashboard, less what its model has no word for: no id yet, and the questions of an import."""
    whole = json.loads(path.read_text())
    return {key: value for key, value in whole.items() if key not in {"id", "__inputs", "__requires"}}


@pytest.mark.parametrize("folder", ["dashboards", "import"])
@boards
def test_grafanas_schema_holds(board, folder, validator):
    """Every key is one that the SDK's schema has, every value of its type, and no key is missing that must be there."""
    error = best_match(validator.iter_errors(grafanas_part(FOLDER / folder / f"{board.uid}.json")))
    assert error is None, f"{error.json_path}: {error.message}"


def test_the_schema_refuses_what_grafana_would_not_read(validator):
    """A key that there is not, anywhere; and any value of another type: each is tried once for every place of its kind."""
    tried = set()
    for board in BOARDS:
        whole = grafanas_part(FOLDER / "dashboards" / f"{board.uid}.json")
        for path in places(whole):
            node = at(whole, path)
            kind = (*(word for word in path if isinstance(word, str)), type(node), panel_type(whole, path))
            if kind in tried:
                continue
            tried.add(kind)
            mutated = copy.deepcopy(whole)
            if isinstance(node, dict):
                at(mutated, path)["noSuchKey"] = 1
            elif isinstance(node, list):
                at(mutated, path[:-1])[path[-1]] = "no list"
            else:
                at(mutated, path[:-1])[path[-1]] = [{"no": "scalar"}]
            assert not validator.is_valid(mutated), f"{board.uid}: {path}"
    assert len(tried) > 150


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("panels", 1, "type"), "stats"),
        (("panels", 1, "options", "reduceOptions", "calcs"), "lastNotNull"),
        (("panels", 1, "options", "colorMode"), "loud"),
        (("panels", 1, "gridPos", "w"), "4"),
        (("panels", 1, "targets", 0, "legend"), "{{upstream}}"),
        (("panels", 1, "fieldConfig", "defaults", "color", "mode"), "rainbow"),
        (("templating", "list", 0, "type"), "source"),
        (("schemaVersion",), "41"),
    ],
)
def test_the_schema_names_the_place(validator, path, value):
    """Of a fault in one place it says that place, or the object around it."""
    whole = grafanas_part(FOLDER / "dashboards" / "jevons-overview.json")
    at(whole, path[:-1])[path[-1]] = value
    error = best_match(validator.iter_errors(whole))
    assert error is not None
    assert path[: len(error.absolute_path)] == tuple(error.absolute_path)


def places(node, path=()):
    """The path of every object, list and value within."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if path:
        yield path
    for key, value in inner:
        yield from places(value, (*path, key))


def at(node, path):
    """What stands there."""
    for key in path:
        node = node[key]
    return node


def panel_type(whole, path):
    """Of the panel in which the place is; None elsewhere."""
    return whole["panels"][path[1]]["type"] if path[0] == "panels" and len(path) > 1 else None


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
