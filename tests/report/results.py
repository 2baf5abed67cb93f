"""Results to draw: three networks, of which the names are hostile."""

from openwork.deploy import Latency
from openwork.report import Layer, Results, Training, Variant
from openwork.zoo import Milestone


def latency(median: float) -> Latency:
    return Latency(100, median * 1.1, median, median * 1.2, median * 1.3, median * 1.5, 0.05)


def variant(name: str, nonzeros: int, ours: float, peer: float) -> Variant:
    layers = (Layer("conv1", 100, 100), Layer("block.conv", 900, nonzeros))
    return Variant(name, (0.99, 0.97), layers, 12_345, latency(ours), latency(peer), "onnxruntime, float32")


def some_results() -> Results:
    dense = Training("dense", tuple(Milestone(step, 0.0, step / 10) for step in range(1, 10)))
    sparse = Training("1x4", tuple(Milestone(step, step / 20, 0.9) for step in range(9, 19)))
    return Results(
        "Digits </script><b>&",
        (dense, sparse),
        (
            variant("dense, float32", 900, 3e-4, 2.7e-4),
            variant("<i>unstructured</i>", 90, 1e-4, 3e-4),
            variant("1x4, int8", 80, 5e-5, 1.5e-4),
        ),
        {"processor": "<none>", "threads": "2"},
    )
