from openwork.report import HEADINGS, cells
from tests.report.results import some_results


def test_a_row_has_a_cell_for_every_heading() -> None:
    for variant in some_results().variants:
        assert len(cells(variant)) == len(HEADINGS)


def test_a_row_tells_its_figures() -> None:
    row = dict(zip(HEADINGS, cells(some_results().variants[1]), strict=False))
    assert row["accuracy"] == "98.0 %"
    assert row["nonzeros"] == "190"
    assert row["sparsity"] == "81.0 %"
    assert row["files"] == "12.3 kB"
    assert row["speed-up"] == "3.00x"
