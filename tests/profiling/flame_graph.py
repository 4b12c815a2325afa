"""Draws a CPU profile as a flame graph: flame_graph.py PROFILE TITLE >FILE.svg

Each rectangle is a function. Its width is the share of the samples in which the function was running, or was waiting for one above it.
"""

import html
import pathlib
import re
import sys

import pprof

WIDTH = 1200
ROW = 18
TOP = 54
MARGIN = 10
# Rectangles that are narrower, in pixels, are left out.
NARROWEST = 3
# Width of a character of the labels in pixels.
CHARACTER = 6.7
FONT = "font-family='ui-monospace, Menlo, Consolas, monospace'"
# Colours by the crate of the function. The background is drawn too, so that the picture is legible on dark pages.
BACKGROUND, TEXT = "#fbfaf7", "#1c1b19"
COLOURS = {
    "onboarding_api": "#f2a541",
    "baton": "#f6cf65",
    "aws": "#9ec5e8",
    "http": "#a8d5ba",
    "tokio": "#d3cbe8",
    "telemetry": "#e8b4b8",
    "other": "#dedad2",
}
LABELS = {
    "onboarding_api": "onboarding-api",
    "baton": "Baton's libraries",
    "aws": "AWS SDK",
    "http": "hyper, axum, tower",
    "tokio": "Tokio",
    "telemetry": "OpenTelemetry, tracing",
    "other": "standard library, C library, other crates",
}
GROUPS = (
    ("onboarding_api", ("onboarding_api",)),
    ("baton", ("baton_",)),
    ("aws", ("aws_",)),
    ("http", ("hyper", "axum", "tower", "http")),
    ("tokio", ("tokio", "mio")),
    ("telemetry", ("opentelemetry", "tracing")),
)


def short(name):
    """Returns a name without generic arguments. If its path is long, only the crate and the last two parts are kept."""
    name = re.sub(r"::\{\{?(closure|impl)[^}]*\}\}?", "", name)
    name = re.sub(r"::\{vtable\.shim\}", "", name)
    if found := re.fullmatch(r"<(.+?) as (.+?)>::(\w+)", name):
        name = f"{found[1]}::{found[3]}"
    while (stripped := re.sub(r"<[^<>]*>", "", name)) != name:
        name = stripped
    parts = [part for part in re.split(r"::", name.strip("<>&")) if part]
    return "::".join([parts[0], *parts[-2:]] if len(parts) > 3 else parts) or name


def group(name):
    """Returns the group of a function by its crate."""
    crate = name.lstrip("<&*").removeprefix("mut ").removeprefix("dyn ")
    return next((group for group, prefixes in GROUPS if crate.startswith(prefixes)), "other")


class Node:
    """A function in the tree of calls, with its samples and the functions that it calls."""

    def __init__(self):
        self.samples = 0
        self.calls = {}

    def add(self, stack, count):
        node = self
        node.samples += count
        for name in stack:
            node = node.calls.setdefault(name, Node())
            node.samples += count


def rectangles(node, left, depth, scale):
    """Yields the name, the position and the samples of each function that is wide enough."""
    for name, call in sorted(node.calls.items()):
        width = call.samples * scale
        if width >= NARROWEST:
            yield name, left, depth, width, call.samples
            yield from rectangles(call, left, depth + 1, scale)
        left += width


def without_common_start(stacks):
    """Returns the stacks without the outermost functions that most have in common, which start the threads."""
    tree = Node()
    for stack, count in stacks.items():
        tree.add(stack, count)
    start = []
    while tree.calls:
        name, widest = max(tree.calls.items(), key=lambda item: item[1].samples)
        if widest.samples < 0.9 * sum(stacks.values()):
            break
        start.append(name)
        tree = widest
    shorter = {}
    for stack, count in stacks.items():
        rest = stack[common_length(stack, start) :]
        shorter[rest] = shorter.get(rest, 0) + count
    return shorter


def common_length(stack, start):
    """Returns the number of functions that both begin with."""
    return next((index for index, (name, other) in enumerate(zip(stack, start)) if name != other), min(len(stack), len(start)))


def draw(profile, title):
    """Returns the flame graph as SVG."""
    tree = Node()
    for stack, count in without_common_start(profile.stacks).items():
        tree.add(stack, count)
    scale = (WIDTH - 2 * MARGIN) / tree.samples
    found = list(rectangles(tree, MARGIN, 0, scale))
    height = TOP + ROW * (max(depth for _, _, depth, _, _ in found) + 1) + MARGIN
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' {FONT} font-size='11'>",
        f"<title>{html.escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='{BACKGROUND}'/>",
        f"<text x='{MARGIN}' y='20' font-size='14' fill='{TEXT}'>{html.escape(title)}</text>",
    ]
    left = MARGIN
    for key, label in LABELS.items():
        lines.append(f"<rect x='{left}' y='30' width='11' height='11' fill='{COLOURS[key]}'/>")
        lines.append(f"<text x='{left + 15}' y='40' fill='{TEXT}'>{label}</text>")
        left += 15 + len(label) * 6.7 + 16
    for name, left, depth, width, samples in found:
        top = height - MARGIN - ROW * (depth + 1)
        share = 100 * samples / tree.samples
        label = short(name)
        characters = int((width - 6) / CHARACTER)
        shown = label if len(label) <= characters else label[: characters - 1] + "…" if characters > 3 else ""
        lines.append(
            f"<g><title>{html.escape(name[:200])} ({share:.1f} %)</title>"
            f"<rect x='{left:.1f}' y='{top}' width='{max(width - 0.6, 0.5):.1f}' height='{ROW - 1}' rx='1' fill='{COLOURS[group(name)]}'/>"
            + (f"<text x='{left + 3:.1f}' y='{top + 12.5}' fill='{TEXT}'>{html.escape(shown)}</text>" if shown else "")
            + "</g>"
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    print(draw(pprof.read(pathlib.Path(sys.argv[1]).read_bytes()), sys.argv[2]), end="")
