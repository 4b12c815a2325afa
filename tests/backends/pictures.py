"""Draws the dashboards as PNG files, with the data of the running stack.

A picture has the panels, series, legends, units and limits of a dashboard, but not the look of Grafana. Panels for traces,
logs and the service map list the first results of their queries.
"""

import datetime
import re

import matplotlib
from files import boards
from panel_checks import STEP_SECONDS, VARIABLES, message_id, substituted

matplotlib.use("agg")
from matplotlib import dates, pyplot, ticker  # noqa: E402

# Inches for each unit of Grafana's grid.
WIDTH, HEIGHT = 0.75, 0.34
LISTED = 8
LISTED_CHARACTERS = 150
FORMATS = {
    "s": ticker.EngFormatter(unit="s"),
    "bytes": ticker.EngFormatter(unit="B"),
    "percentunit": ticker.PercentFormatter(1),
    "ops": ticker.EngFormatter(unit="/s"),
    "reqps": ticker.EngFormatter(unit="/s"),
    "short": ticker.ScalarFormatter(),
}


def draw(stack, folder):
    """Writes a picture of each dashboard into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, board in boards(stack.files).items():
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
        figure = pyplot.figure(figsize=(24 * WIDTH, (rows + 2) * HEIGHT))
        figure.suptitle(board["title"], x=0.01, y=0.995, ha="left", va="top", fontsize=14, weight="bold")
        for panel in board["panels"]:
            place = panel["gridPos"]
            left, top = place["x"] / 24, 1 - (place["y"] + 2) / (rows + 2)
            if panel["type"] == "row":
                figure.text(0.01, top - 0.6 / (rows + 2), panel["title"], weight="bold", va="center")
                continue
            # Space for the title, the values of the axes and the legend.
            width, height = place["w"] / 24, place["h"] / (rows + 2)
            axes = figure.add_axes([left + 0.045, top - height * 0.73, width - 0.06, height * 0.58])
            axes.set_title(panel["title"], loc="left", fontsize=10)
            if panel["type"] == "timeseries":
                chart(stack, panel, axes)
            else:
                listing(stack, panel, axes)
        figure.savefig(folder / f"{name}.png", dpi=80)
        pyplot.close(figure)


def chart(stack, panel, axes):
    """Draws the series of a panel."""
    defaults = panel["fieldConfig"]["defaults"]
    names = []
    for target in panel["targets"]:
        for series in stack.prometheus.series(substituted(target["expr"], VARIABLES), stack.began, STEP_SECONDS):
            times, values = zip(*series["values"], strict=True)
            times = [datetime.datetime.fromtimestamp(time, datetime.UTC) for time in times]
            axes.plot(times, [float(value) for value in values], linewidth=1.2, marker="." if len(times) == 1 else None)
            names.append(legend(target["legendFormat"], series["metric"]))
    for limit in [step["value"] for step in defaults.get("thresholds", {}).get("steps", []) if step["value"]]:
        axes.axhline(limit, color="red", linestyle="--", linewidth=0.8)
    axes.set_ylim(bottom=defaults["min"])
    if not axes.dataLim.height:
        # A line of equal values is in the middle.
        axes.set_ylim(top=2 * max(axes.dataLim.y1, 0.5))
    axes.yaxis.set_major_formatter(FORMATS[defaults["unit"]])
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=5))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if names:
        axes.legend(names, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=3, fontsize=6, frameon=False)
    else:
        axes.text(0.5, 0.5, defaults["noValue"], transform=axes.transAxes, ha="center")


def legend(text, labels):
    """Fills the labels into a legend, as Grafana does."""
    return re.sub(r"{{\s*(\w+)\s*}}", lambda name: labels.get(name[1], ""), text)


def listing(stack, panel, axes):
    """Writes the first results of a panel for logs or traces."""
    axes.axis("off")
    lines = [line[:LISTED_CHARACTERS] for line in results(stack, panel)[:LISTED]]
    axes.text(0, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=7, family="monospace")


def results(stack, panel):
    [target] = panel["targets"]
    source = panel["datasource"]["uid"]
    if not getattr(stack.programs, source):
        return [f"{source} does not run"]
    variables = VARIABLES | {"trace_id": stack.requests[0].trace}
    if source == "loki":
        return [line.text for line in stack.loki.lines(substituted(target["expr"], variables), stack.began)]
    if target["queryType"] == "serviceMap":
        return [f"{labels['client']} -> {labels['server']}" for labels, _ in stack.prometheus.query("traces_service_graph_request_total")]
    if target["query"] == "$trace_id":
        return [f"{span.service}: {span.name}" for span in stack.tempo.spans(stack.requests[0].trace)]
    variables["message_id"] = message_id(stack) if stack.programs.loki else ""
    return sorted(stack.tempo.search(substituted(target["query"], variables)))
