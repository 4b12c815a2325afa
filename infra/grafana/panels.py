"""The kinds of panels that the dashboards consist of."""

from grafana_foundation_sdk.builders import common, dashboard, logs, loki, nodegraph, prometheus, table, tempo, timeseries
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, LegendDisplayMode, LegendPlacement, VisibilityMode
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode, VariableRefresh

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = DataSourceRef(type_val="loki", uid="loki")
TEMPO = DataSourceRef(type_val="tempo", uid="tempo")

# Height of a panel, and width of a row, in the units of Grafana's grid.
HEIGHT, WIDTH = 8, 24


def lines(title, unit, queries, about, limit=None):
    """A chart. `queries` are PromQL, by the legends of their series. `limit` is the value of the alert for it."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .unit(unit)
        .min(0)
        .no_value("None in this time range.")
        .datasource(PROMETHEUS)
        .fill_opacity(10)
        # A series with a single point would be invisible as a line.
        .show_points(VisibilityMode.AUTO)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True))
    )
    for letter, (legend, expression) in zip("ABCDEF", queries.items()):
        query = prometheus.Dataquery().ref_id(letter).expr(expression).legend_format(legend)
        panel.with_target(query.exemplar("span_metrics_duration" in expression))
    if limit is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=limit, color="red")]
        panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    return panel


def log_lines(title, query, about):
    """Log records that a LogQL query finds, the newest first."""
    target = loki.Dataquery().ref_id("A").expr(query)
    return logs.Panel().title(title).description(about).datasource(LOKI).show_time(True).wrap_log_message(True).enable_log_details(True).with_target(target)


def trace_list(title, query, about):
    """Traces that a TraceQL query finds."""
    return table.Panel().title(title).description(about).datasource(TEMPO).with_target(traceql(query).limit(20))


def trace(title, query, about):
    """The spans of one trace."""
    return dashboard.Panel().type("traces").title(title).description(about).datasource(TEMPO).with_target(traceql(query))


def service_map(title, about):
    """The services and the calls between them, from the metrics of Tempo's generator."""
    target = tempo.TempoQuery().ref_id("A").query_type("serviceMap")
    return nodegraph.Panel().title(title).description(about).datasource(TEMPO).with_target(target)


def traceql(query):
    return tempo.TempoQuery().ref_id("A").query_type("traceql").query(query)


def choice(name, label, query, everything=".+"):
    """A variable with the values of a label, all of which are chosen at first. `everything` matches them all."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(PROMETHEUS)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(everything)
    )


def text(name, label, about):
    """A variable that users type in."""
    return dashboard.TextBoxVariable(name).label(label).description(about)


def board(uid, title, about, variables, rows):
    """A dashboard. `rows` are lists of panels, by the title of the row. The panels of a row have the same width."""
    links = dashboard.DashboardLink("Baton").type("dashboards").tags(["baton"]).as_dropdown(True).keep_time(True).include_vars(True)
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags(["baton"])
        .link(links)
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
    )
    for variable in variables:
        built.with_variable(variable)
    for name, panels in rows.items():
        built.with_row(dashboard.Row(name))
        for panel in panels:
            built.with_panel(panel.span(WIDTH // len(panels)).height(HEIGHT))
    return built.build()
