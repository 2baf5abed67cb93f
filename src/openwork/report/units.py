"""Figures as text for people, each with its unit."""


def seconds_text(seconds: float) -> str:
    """Three significant digits in the unit that suits: `83.1 µs`, `1.25 ms`, `2.04 s`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds * 1e6)} µs"


def count_text(count: int) -> str:
    """Three significant digits: `812`, `590 k`, `4.09 G`."""
    for prefix, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{_three_digits(count / size)} {prefix}"
    return str(count)


def bytes_text(count: int) -> str:
    """Decimal units, as disks are sold: `812 B`, `1.08 MB`."""
    return f"{count_text(count)}{'' if count >= 1000 else ' '}B"


def percent_text(share: float) -> str:
    """One decimal: `90.0 %`."""
    return f"{share * 100:.1f} %"


def ratio_text(ratio: float) -> str:
    """Two decimals: `3.12x`."""
    return f"{ratio:.2f}x"


def _three_digits(value: float) -> str:
    for digits, limit in ((2, 9.995), (1, 99.95)):
        if value < limit:
            return f"{value:.{digits}f}"
    return f"{value:.0f}"
