"""The plots of a report, drawn by matplotlib without a display and without global state.

Equal input gives equal bytes: no dates, no random identifiers.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from openwork.deploy import Latency
from openwork.report.results import Results, Variant
from openwork.report.units import ratio_text, seconds_text

INK = "#22303c"
PALE = "#e3e8ec"
PEER = "#a9b4bd"
ACCENT = "#0b7a75"
# Told apart by people with any colour vision (Okabe and Ito), the first one for the dense network.
SERIES = ("#5b6770", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
DASHES = ("-", "-", "--", "-.", ":")
# Networks with fewer zeros were not cut: rounding to int8 makes some too.
CUT_FROM = 0.2

STYLE: Any = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": PALE,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "openwork",
}

WIDTH = 8.0  # inches, of every plot


def accuracy_over_training(results: Results) -> Figure:
    """Accuracy above, sparsity below, over the optimizer steps of every training run."""
    figure = Figure(figsize=(WIDTH, 4.8))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for training, colour, dashes in zip(results.trainings, SERIES, DASHES, strict=False):
        steps = [point.step for point in training.points]
        accuracies = [point.accuracy for point in training.points]
        above.plot(steps, accuracies, dashes, marker=".", color=colour, label=training.name)
        below.plot(steps, [point.sparsity for point in training.points], dashes, color=colour)
    above.set_title("Accuracy on held-out images")
    # Untrained networks guess; an axis that reached down there would hide what matters.
    trained = [point.accuracy for training in results.trainings for point in training.points[1:]]
    above.set_ylim(min(trained, default=0.02) - 0.02, 1.005)
    above.legend(loc="lower right")
    below.set_title("Sparsity")
    below.set_ylim(-0.03, 1.03)
    below.set_xlabel("optimizer steps")
    for axes in (above, below):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def layer_sparsity(results: Results) -> Figure:
    """Sparsity of every layer, one panel for each compiled network that was cut."""
    variants = [variant for variant in results.variants if variant.sparsity >= CUT_FROM]
    names = [layer.name for layer in results.variants[0].layers]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.22 * len(names)))
    panels = figure.subplots(1, max(1, len(variants)), sharey=True, squeeze=False)[0]
    for axes, variant, colour in zip(panels, variants, SERIES[1:], strict=False):
        _draw_layers(axes, variant, colour)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def latency(results: Results) -> Figure:
    """Median latency of one inference beside the peer's; whiskers reach to the 90th percentile."""
    variants = results.variants
    figure = Figure(figsize=(WIDTH, 1.2 + 0.75 * len(variants)))
    axes = figure.subplots()
    longest = max(max(variant.latency.p90, variant.peer.p90) for variant in variants)
    unit, name = (1e3, "milliseconds") if longest >= 1e-3 else (1e6, "microseconds")
    ours = [f"{seconds_text(v.latency.median)}   {ratio_text(v.speedup)} as fast" for v in variants]
    theirs = [seconds_text(variant.peer.median) for variant in variants]
    _draw_latencies(axes, -0.2, [variant.latency for variant in variants], ours, unit, "openwork", ACCENT)
    _draw_latencies(axes, +0.2, [variant.peer for variant in variants], theirs, unit, "onnxruntime", PEER)
    axes.set_yticks(range(len(variants)), [variant.name for variant in variants])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, longest * unit * 1.35)
    axes.set_xlabel(f"{name} for one inference: median, whisker to the 90th percentile")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


PLOTS: Mapping[str, Callable[[Results], Figure]] = {
    "accuracy_over_training": accuracy_over_training,
    "layer_sparsity": layer_sparsity,
    "latency": latency,
}


def render(name: str, results: Results) -> tuple[str, bytes]:
    """Draw the plot of that name in PLOTS. Returns: SVG text and PNG bytes, without dates."""
    return draw(lambda: PLOTS[name](results))


def draw(make: Callable[[], Figure]) -> tuple[str, bytes]:
    """Draw a figure in the style of all plots. Returns: SVG text and PNG bytes, without dates."""
    undated = {"Date": None, "Creator": None, "Format": None, "Type": None}
    svg, png = io.StringIO(), io.BytesIO()
    with rc_context(STYLE):
        figure = make()
        figure.savefig(svg, format="svg", metadata=undated)
        figure.savefig(png, format="png", metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def _draw_layers(axes: Axes, variant: Variant, colour: str) -> None:
    rows = range(len(variant.layers))
    axes.barh(rows, [1.0] * len(rows), height=0.8, color=PALE)
    axes.barh(rows, [layer.sparsity for layer in variant.layers], height=0.8, color=colour)
    for row, layer in zip(rows, variant.layers, strict=True):
        ink = "white" if layer.sparsity > 0.5 else INK
        axes.text(0.01, row, f"{layer.nonzeros:,} of {layer.weights:,} left", color=ink, va="center", fontsize=7)
    axes.set_title(variant.name)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 0.9])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("weights that are zero")
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)


def _draw_latencies(
    axes: Axes,
    offset: float,
    latencies: Sequence[Latency],
    texts: Sequence[str],
    unit: float,
    label: str,
    colour: str,
) -> None:
    """One bar for each latency, `offset` rows beside its row, with a whisker and a text behind it."""
    rows = np.arange(len(latencies)) + offset
    medians = np.array([latency.median for latency in latencies]) * unit
    ends = np.array([latency.p90 for latency in latencies]) * unit
    axes.barh(rows, medians, height=0.36, color=colour, label=label)
    axes.hlines(rows, medians, ends, color=INK, linewidth=1)
    axes.plot(ends, rows, "|", color=INK)
    for row, end, text in zip(rows, ends, texts, strict=True):
        axes.annotate(text, (end, row), (6, 0), textcoords="offset points", va="center", fontsize=9)
