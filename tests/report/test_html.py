import re

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from openwork.report.html import render

ANALYSIS = {
    "title": "<a> & b",
    "facts": {"run as": "1 < 2"},
    "headings": (),
    "rows": (),
    "drawing": Markup("<svg/>"),
    "worst": "worst: y",
}


class Nothing:
    final_distance, batches, outputs, constant = 0.5, 3, {}, ()


def test_text_is_escaped_and_markup_is_not() -> None:
    page = render("analysis.html", **ANALYSIS, analysis=Nothing)
    assert page.count("&lt;a&gt; &amp; b") == 2
    assert "<td>1 &lt; 2</td>" in page
    assert "<svg/>" in page


def test_a_page_has_one_style_sheet_with_its_own_rules_last() -> None:
    [style] = re.findall("<style>(.*?)</style>", render("analysis.html", **ANALYSIS, analysis=Nothing), re.DOTALL)
    assert style.index("table {") < style.index(".results th { cursor: pointer; }")


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render("analysis.html", title="x")
