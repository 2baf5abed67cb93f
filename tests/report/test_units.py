import pytest

from openwork.report.units import bytes_text, count_text, percent_text, ratio_text, seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (83.14e-6, "83.1 µs"),
        (5e-7, "0.50 µs"),
        (1.2345e-3, "1.23 ms"),
        (12.345e-3, "12.3 ms"),
        (123.45e-3, "123 ms"),
        (9.996e-3, "10.0 ms"),
        (2.04, "2.04 s"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (812, "812 B"), (1_080_000, "1.08 MB"), (25_500_000_000, "25.5 GB")]
)
def test_bytes(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(("count", "text"), [(999, "999"), (589_824, "590 k"), (4_089_184_256, "4.09 G")])
def test_counts(count: int, text: str) -> None:
    assert count_text(count) == text


def test_shares_and_ratios() -> None:
    assert percent_text(0.9) == "90.0 %"
    assert ratio_text(3.125) == "3.12x"
