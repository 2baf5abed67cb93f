import re
from dataclasses import replace

import pytest
from matplotlib import rcParams

from openwork.deploy import Latency
from openwork.report.plots import PLOTS, render
from tests.report.results import some_results


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_has_no_date_and_keeps_its_text(name: str) -> None:
    svg, _ = render(name, some_results())
    assert "<dc:date>" not in svg
    assert "<text" in svg


def test_drawing_leaves_no_global_state() -> None:
    before = dict(rcParams)
    render("latency", some_results())
    assert dict(rcParams) == before


def test_latency_tells_medians_and_ratios() -> None:
    svg, _ = render("latency", some_results())
    for text in ("100 µs", "3.00x as fast", "0.90x as fast", "50.0 µs", "150 µs"):
        assert text in svg


def test_layer_sparsity_shows_the_networks_that_were_cut() -> None:
    svg, _ = render("layer_sparsity", some_results())
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert [texts.count(name) for name in ("conv1", "block.conv")] == [1, 1]
    assert "1x4, int8" in texts and "dense, float32" not in texts
    assert "90 of 900 left" in texts and "80 of 900 left" in texts


def test_latency_is_in_milliseconds_when_it_is_long() -> None:
    slow = Latency(10, 0.02, 0.02, 0.03, 0.03, 0.03, 0.1)
    results = some_results()
    assert "microseconds" in render("latency", results)[0]
    variants = tuple(replace(variant, latency=slow) for variant in results.variants)
    assert "milliseconds" in render("latency", replace(results, variants=variants))[0]
