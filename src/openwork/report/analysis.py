"""The report of a quantization analysis: one HTML page with a sortable table, a CSV file, and a plot."""

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from openwork.files import write_whole
from openwork.quantization.analysis import Analysis, LayerError, Worst
from openwork.report import html
from openwork.report.plots import ACCENT, PEER, WIDTH, draw
from openwork.report.table import csv_of
from openwork.report.units import percent_text

HEADINGS = (
    "layer",
    "operator",
    "bits",
    "own distance",
    "own SQNR",
    "accumulated distance",
    "accumulated SQNR",
    "max error",
    "PSNR",
    "grade",
    "saturated",
)
# SQNR beyond this is drawn here: a tensor that is only moved has an infinite one.
_HIGHEST = 80.0  # dB


def write_analysis(analysis: Analysis, title: str, facts: Mapping[str, str], directory: Path) -> Path:
    """Write `analysis.html`, `analysis.csv` and `layers.svg`, `layers.png`; equal input gives equal bytes.

    Args:
        facts: how the figures came about, name to text, in the order to be shown.
        directory: made when missing; files of the same names are replaced.
    Returns: the path of `analysis.html`.
    Raises: ArtifactError: the directory cannot be written.
    """
    svg, png = draw(lambda: layer_errors(analysis.layers))
    write_whole(directory / "layers.svg", svg)
    write_whole(directory / "layers.png", png)
    write_whole(directory / "analysis.csv", csv_text(analysis.layers))
    page = html.render(
        "analysis.html",
        title=title,
        analysis=analysis,
        worst=worst_text(analysis.worst),
        headings=HEADINGS,
        rows=[list(zip(cells(layer), sort_keys(layer), strict=True)) for layer in analysis.layers],
        drawing=Markup(svg[svg.index("<svg") :]),
        facts=facts,
    )
    write_whole(directory / "analysis.html", page)
    return directory / "analysis.html"


def cells(layer: LayerError) -> tuple[str, ...]:
    """One row of text, in the order of HEADINGS."""
    return (
        layer.name,
        layer.operator,
        "float" if layer.bits == 32 else str(layer.bits),
        f"{layer.own.distance:.2e}",
        decibel_text(layer.own.sqnr),
        f"{layer.accumulated.distance:.2e}",
        decibel_text(layer.accumulated.sqnr),
        f"{layer.accumulated.max_error:.3g}",
        decibel_text(layer.worst.psnr),
        layer.worst.grade,
        percent_text(layer.saturation),
    )


def sort_keys(layer: LayerError) -> tuple[str, ...]:
    """What each cell is sorted by."""
    own, accumulated = layer.own, layer.accumulated
    psnr = layer.worst.psnr
    numbers = (own.distance, own.sqnr, accumulated.distance, accumulated.sqnr, accumulated.max_error, psnr)
    return (
        layer.name,
        layer.operator,
        str(layer.bits),
        *map(repr, numbers),
        repr(psnr),
        repr(layer.saturation),
    )


def decibel_text(value: float) -> str:
    return f"{value:.1f} dB" if isfinite(value) else "exact" if value > 0 else "none"


def csv_text(layers: Sequence[LayerError]) -> str:
    """One line a layer; decibels, fractions, and the tensor's own unit, floats in full."""
    return csv_of([record(layer) for layer in layers])


def record(layer: LayerError) -> dict[str, Any]:
    """A layer as flat data, for CSV and JSON."""
    result: dict[str, Any] = {
        "layer": layer.name,
        "operator": layer.operator,
        "tensor": layer.tensor,
        "bits": layer.bits,
        "saturation": layer.saturation,
    }
    for kind, error in (("own", layer.own), ("accumulated", layer.accumulated)):
        figures = {"distance": error.distance, "sqnr": error.sqnr, "psnr": error.psnr, "max_error": error.max_error}
        result |= {f"{kind}_{name}": finite(value) for name, value in figures.items()}
    return result | {"worst_psnr": finite(layer.worst.psnr), "grade": layer.worst.grade}


def worst_text(worst: Worst) -> str:
    """The worst output or part, in one line."""
    return f"worst: {worst}, PSNR {decibel_text(worst.error.psnr)}, {worst.error.grade}"


def worst_record(worst: Worst) -> dict[str, Any]:
    """The same as flat data."""
    psnr = finite(worst.error.psnr)
    return {"tensor": worst.tensor, "part": worst.part, "psnr": psnr, "grade": worst.error.grade}


def finite(value: float) -> float | None:
    """JSON and CSV have no infinity."""
    return value if isfinite(value) else None


def layer_errors(layers: Sequence[LayerError]) -> Figure:
    """SQNR of each layer: its own, and what has accumulated up to it; the further left, the worse."""
    figure = Figure(figsize=(WIDTH, 1.2 + 0.17 * len(layers)))
    axes = figure.subplots()
    rows = range(len(layers))
    own = [_drawn(layer.own.sqnr) for layer in layers]
    accumulated = [_drawn(layer.accumulated.sqnr) for layer in layers]
    axes.hlines(rows, accumulated, own, color=PEER, linewidth=1)
    axes.plot(own, rows, "o", color=ACCENT, markersize=4, label="the layer's own error")
    axes.plot(accumulated, rows, "D", color="#d55e00", markersize=3.5, label="accumulated up to it")
    axes.set_yticks(rows, [_short(layer.name) for layer in layers], fontsize=7)
    axes.set_ylim(len(layers) - 0.4, -0.6)
    axes.set_xlabel("signal to quantization noise, dB (higher is better)")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def _drawn(sqnr: float) -> float:
    return min(max(sqnr, -10.0), _HIGHEST)


def _short(name: str) -> str:
    """matplotlib takes $ for mathematics."""
    name = name.replace("$", r"\$")
    return name if len(name) <= 40 else "..." + name[-37:]
