"""The dashboards as Grafana reads them: `python -m jevons.exporters.grafana.build FOLDER` writes them all.

The Classic model (schemaVersion 41 and before), through Grafana's own SDK, which is a tool of development and not needed to
run jevons. Every panel and query names its data source by a variable. The files in `dashboards/` are for provisioning; those
in `import/` ask for the data source when they are imported by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from .devices import DEVICES
from .overview import OVERVIEW
from .panels import Board, Panel, Query
from .requests import REQUESTS
from .routing import ROUTING

BOARDS: Final = (OVERVIEW, REQUESTS, ROUTING, DEVICES)
_SOURCE_TYPE: Final = "prometheus"
_SOURCE: Final = models.DataSourceRef(type_val=_SOURCE_TYPE, uid="${datasource}")
_INPUT: Final = "DS_PROMETHEUS"

Json: TypeAlias = dict[str, Any]
Built: TypeAlias = timeseries.Panel | stat.Panel | bargauge.Panel | heatmap.Panel


def dashboard_json(board: Board) -> Json:
    """One dashboard, for provisioning."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["jevons"])
        .time("now-1h", "now")
        .timezone("browser")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type(_SOURCE_TYPE))
        .with_variable(_jobs())
    )
    if board.has_past:
        built.with_variable(_past())
    for row in board.rows:
        built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built.with_panel(_panel(panel))
    made: Json = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    for number, panel_json in enumerate(made["panels"], start=1):
        panel_json["id"] = number
    return {**made, "id": None}


def import_json(board: Board) -> Json:
    """The same for importing by hand, where Grafana asks which data source it is to read."""
    text = json.dumps(dashboard_json(board)).replace("${datasource}", "${" + _INPUT + "}")
    made: Json = json.loads(text)
    variables = made["templating"]["list"]
    made["templating"]["list"] = [variable for variable in variables if variable["type"] != "datasource"]
    asked = {"name": _INPUT, "label": "Prometheus", "type": "datasource", "pluginId": _SOURCE_TYPE, "pluginName": "Prometheus"}
    needed = {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.6.0"}
    return {"__inputs": [asked], "__requires": [needed], **made}


def write(folder: Path) -> list[Path]:
    """Every dashboard in both forms; the paths written."""
    written = []
    for board in BOARDS:
        for path, content in ((folder / "dashboards", dashboard_json(board)), (folder / "import", import_json(board))):
            path.mkdir(parents=True, exist_ok=True)
            file = path / f"{board.uid}.json"
            file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            written.append(file)
    return written


def _links() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("jevons").type(models.DashboardLinkType.DASHBOARDS).tags(["jevons"])
    return link.as_dropdown(as_dropdown=False).keep_time(keep_time=True).include_vars(include_vars=True)


def _jobs() -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable("job").label("Proxy").datasource(_SOURCE)
    variable.query("label_values(jevons_build_info, job)")
    variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).multi(multi=True).include_all(include_all=True)
    return variable.current(models.VariableOption(selected=True, text="All", value="$__all")).all_value(".*")


def _past() -> dashboard.CustomVariable:
    variable = dashboard.CustomVariable("past").label("Period")
    variable.description("The last so long, over the time of the same length before it.")
    variable.values("1h,6h,1d,7d,30d")
    return variable.current(models.VariableOption(selected=True, text="1d", value="1d"))


def _panel(panel: Panel) -> Built:
    built: Built
    match panel.kind:
        case "stat":
            built = stat.Panel().color_mode(common_models.BigValueColorMode.NONE).reduce_options(_last())
            built.graph_mode(common_models.BigValueGraphMode.NONE)
        case "bars":
            built = bargauge.Panel().orientation(common_models.VizOrientation.HORIZONTAL).reduce_options(_last())
        case "heatmap":
            built = heatmap.Panel().calculate(calculate=False).y_axis(heatmap.YAxisConfig().unit(panel.unit))
            built.color(_heat())
        case _:
            built = _lines(panel)
    for index, query in enumerate(panel.queries):
        built.with_target(_target(query, panel, chr(ord("A") + index)))
    built.title(panel.title).description(panel.description).unit(panel.unit).datasource(_SOURCE)
    if panel.decimals is not None:
        built.decimals(panel.decimals)
    if panel.from_zero and panel.kind != "heatmap":
        built.min(0)
    if panel.kind in {"stat", "bars"}:  # else values from 80 on would be red
        colour = "text" if panel.kind == "stat" else "blue"
        built.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color(colour))
    return built.span(panel.width).height(panel.height)


def _lines(panel: Panel) -> timeseries.Panel:
    built = timeseries.Panel().line_width(1).show_points(common_models.VisibilityMode.NEVER)
    built.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    built.legend(legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(show_legend=True))
    if panel.kind == "lines":
        return built.fill_opacity(0)
    mode = common_models.StackingMode.PERCENT if panel.kind == "shares" else common_models.StackingMode.NORMAL
    return built.fill_opacity(40).stacking(common.StackingConfig().mode(mode).group("A"))


def _heat() -> heatmap.HeatmapColorOptions:
    return heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues").steps(64)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _target(query: Query, panel: Panel, ref_id: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(ref_id).datasource(_SOURCE)
    if query.legend:
        target.legend_format(query.legend)
    if panel.kind in {"stat", "bars"}:
        return target.instant()
    if panel.kind == "heatmap":
        target.format(prometheus_models.PromQueryFormat.HEATMAP)
    return target.range()


if __name__ == "__main__":
    for written_path in write(Path(sys.argv[1])):
        sys.stdout.write(f"{written_path}\n")
