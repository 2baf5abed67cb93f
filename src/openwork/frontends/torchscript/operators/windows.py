"""Windows of convolutions and pools."""

from typing import Any


def window(dims: int, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """Padding given as a word is left 0."""
    pads = [0] * dims if isinstance(padding, str) else sizes(padding, dims)
    return {"strides": sizes(stride, dims), "pads": pads * 2, "dilations": sizes(dilation, dims)}


def sizes(given: Any, dims: int) -> list[int]:
    """One number for each dimension; torch writes a one-dimensional window with two, and one for all."""
    sizes = [int(each) for each in given] if isinstance(given, list | tuple) else [int(given)]
    return sizes * dims if len(sizes) == 1 else sizes[-dims:]
