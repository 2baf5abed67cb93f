"""The report of an analysis: a page that a browser takes, whatever the layers are called."""

import csv
from html.parser import HTMLParser
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openwork.quantization.analysis import Analysis, Error, LayerError
from openwork.report.analysis import HEADINGS, cells, csv_text, decibel_text, record, sort_keys, write_analysis

HOSTILE = "</td><script>alert('x')</script>\"& $x_$ \\frac{%"
VOID = {"meta", "br", "img", "link"}


def layer(name: str = "conv", sqnr: float = 30.0, *, bits: int = 8, saturation: float = 0.25) -> LayerError:
    error = Error(distance=2.5e-4, sqnr=sqnr, psnr=sqnr + 10, max_error=0.125)
    return LayerError(name, "Conv", f"{name}/out", bits, error, Error(1e-3, sqnr - 5, sqnr + 5, 0.5), saturation)


def analysis(*layers: LayerError) -> Analysis:
    return Analysis(layers, {"scores": Error(1e-3, 25.0, 27.5, 0.5)}, 3)


class Page(HTMLParser):
    """Every element closed by its own end tag; the cells of the results with their keys."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0
        self.tables = -1
        self.rows: list[list[tuple[str, str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        self.tables += tag == "tbody"
        if self.tables == 0 and tag == "tr":
            self.rows.append([])
        if self.tables == 0 and tag == "td":
            self.rows[-1].append((dict(attrs)["data-key"] or "", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td" and self.tables == 0:
            key, text = self.rows[-1][-1]
            self.rows[-1][-1] = (key, text + data)


def written(directory: Path, *layers: LayerError, title: str = "q against f") -> str:
    return write_analysis(analysis(*layers), title, {"run as": "test & more"}, directory).read_text()


def test_the_page_is_well_formed_and_complete(tmp_path: Path) -> None:
    layers = [layer("a"), layer("b", 12.0, bits=32), layer("c", inf)]
    text = written(tmp_path, *layers)
    page = Page(text)
    assert [[cell for _, cell in row] for row in page.rows] == [list(cells(each)) for each in layers]
    assert "Final distance <strong>0.001</strong> over" in text
    assert "Output scores: PSNR 27.5 dB, good." in text
    assert "test &amp; more" in text
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "")  # needs nothing else


def test_names_from_models_stay_text(tmp_path: Path) -> None:
    text = written(tmp_path, layer(HOSTILE), title=HOSTILE)
    page = Page(text)
    assert page.scripts == 1
    assert page.rows[0][0] == (HOSTILE, HOSTILE)
    [row] = csv.DictReader((tmp_path / "analysis.csv").read_text().splitlines())
    assert row["layer"] == HOSTILE
    drawn = ElementTree.parse(tmp_path / "layers.svg")
    assert all("script" not in element.tag for element in drawn.iter())


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    layers = [layer("a"), layer("b", inf)]
    for folder in ("one", "other"):
        written(tmp_path / folder, *layers)
    names = ["analysis.csv", "analysis.html", "layers.png", "layers.svg"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_what_is_exact_has_no_decibels(tmp_path: Path) -> None:
    """A tensor that is only moved has no noise, and one of zeros no signal."""
    exact, lost = layer("moved", inf), layer("zeros", -inf)
    assert cells(exact)[HEADINGS.index("own SQNR")] == "exact"
    assert cells(lost)[HEADINGS.index("own SQNR")] == "none"
    assert decibel_text(12.34) == "12.3 dB"
    assert record(exact)["own_sqnr"] is None
    assert csv_text([exact]).splitlines()[1].split(",")[6] == ""
    keys = [row[HEADINGS.index("own SQNR")][0] for row in Page(written(tmp_path, exact, lost)).rows]
    assert keys == ["inf", "-inf"]


@given(
    st.lists(
        st.builds(
            layer,
            st.text(min_size=1, max_size=8),
            st.floats(-50, 150) | st.sampled_from([inf, -inf]),
            saturation=st.floats(0, 1),
        ),
        min_size=2,
        max_size=2,
    )
)
def test_keys_sort_as_the_figures_do(pair: list[LayerError]) -> None:
    """Numbers are sorted in full, not as they are printed."""
    one, other = pair
    keys = [sort_keys(each) for each in pair]
    assert {len(each) for each in keys} == {len(HEADINGS)}
    column = HEADINGS.index("own SQNR")
    assert (float(keys[0][column]) < float(keys[1][column])) == (one.own.sqnr < other.own.sqnr)
    column = HEADINGS.index("saturated")
    assert (float(keys[0][column]) < float(keys[1][column])) == (one.saturation < other.saturation)
    assert all(float(key) == float(key) for each in keys for key in each[2:] if key not in ("inf", "-inf"))


@pytest.mark.parametrize(
    ("psnr", "grade"), [(19.9, "poor"), (20, "acceptable"), (24.9, "acceptable"), (25, "good"), (30, "very good")]
)
def test_grades_of_the_psnr(psnr: float, grade: str) -> None:
    each = LayerError("a", "Conv", "t", 8, Error(0, 0, psnr, 0), Error(0, 0, psnr, 0), 0.0)
    assert cells(each)[HEADINGS.index("grade")] == grade
    assert cells(each)[HEADINGS.index("PSNR")] == f"{psnr:.1f} dB"
