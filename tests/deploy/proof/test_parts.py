"""Parts of products together are the product."""

import numpy as np
import pytest

from openwork.deploy.proof import parts
from openwork.deploy.proof.bounds import evaluated
from openwork.lowering import Buffer
from openwork.lowering import steps as lowered


def conv(groups: int, residual: bool = False) -> lowered.Conv:
    add = lowered.Add("a", ("z", "x"), "y") if residual else None
    return lowered.Conv("s", "x", "y", "w", "b", (1, 1), (1,) * 4, (1, 1), groups, residual=add)


CASES = {
    "fully connected": (
        lowered.FullyConnected("s", "x", "y", "w", "b"),
        {"x": (2, 3, 5), "w": (7, 5), "b": (7,)},
        (2, 3, 7),
    ),
    "convolution": (conv(1), {"x": (2, 3, 4, 5), "w": (7, 3, 3, 3), "b": (7,)}, (2, 7, 4, 5)),
    "groups": (conv(3), {"x": (2, 6, 4, 5), "w": (9, 2, 3, 3), "b": (9,)}, (2, 9, 4, 5)),
    "a group a channel": (conv(4), {"x": (2, 4, 4, 5), "w": (4, 1, 3, 3), "b": (4,)}, (2, 4, 4, 5)),
    "residual": (conv(2, residual=True), {"x": (2, 4, 4, 5), "w": (4, 2, 3, 3), "b": (4,)}, (2, 4, 4, 5)),
    "larger first": (lowered.MatMul("s", ("x", "w"), "y"), {"x": (2, 9, 5), "w": (2, 5, 3)}, (2, 9, 3)),
    "larger second": (lowered.MatMul("s", ("x", "w"), "y"), {"x": (2, 1, 5), "w": (2, 5, 8)}, (2, 1, 8)),
    "batches of one": (lowered.MatMul("s", ("x", "w"), "y"), {"x": (3, 5), "w": (2, 5, 8)}, (2, 3, 8)),
    "vector": (lowered.MatMul("s", ("x", "w"), "y"), {"x": (5,), "w": (2, 5, 8)}, (2, 8)),
    "square": (lowered.MatMul("s", ("x", "x"), "y"), {"x": (2, 5, 5)}, (2, 5, 5)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("at_once", [1, 20, 60, 1 << 20])
def test_parts_are_the_whole(case: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "AT_ONCE", at_once)
    step, shapes, output = CASES[case]
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    buffer = Buffer(output, "float32")
    whole = step.compute({name: value.astype(np.float64) for name, value in values.items()}, buffer)
    assert whole.shape == output
    places = rng.permutation(whole.size)[:-1]
    found = evaluated(step, values, buffer, places)
    np.testing.assert_allclose(found.value, whole.ravel()[places], rtol=1e-12, atol=1e-12)
    away = np.abs(step.compute(values, buffer).ravel()[places] - found.value)
    assert (away <= found.bound).all() and (found.bound < 1e-4).all()


def test_a_large_weight_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "AT_ONCE", 60)
    step, shapes, output = CASES["convolution"]
    values = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    sizes = [part.values["w"].size for part in parts.parts(step, values, Buffer(output, "float32"))]
    assert sizes == [54, 54, 54, 27]
