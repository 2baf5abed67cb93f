"""Step 5: latency beside onnxruntime, interleaved in one run."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import onnx_ir as ir

from openwork.demo.building import Network, calibration_batches, one_image
from openwork.demo.peers import fastest, onnxruntime_runner, quantized_by_onnxruntime
from openwork.demo.training import Progress
from openwork.deploy import InferenceSession, Latency, measure
from openwork.zoo import Digits

ROUNDS = 20
RUNS = 50


@dataclass(frozen=True)
class Measured:
    """Latency of a network, and that of the fastest way to run it with onnxruntime."""

    latency: Latency
    peer: Latency
    peer_name: str


def measure_beside_onnxruntime(
    networks: Sequence[Network], data: Digits, threads: int, progress: Progress
) -> list[Measured]:
    """Every network in every engine, on one image, all taking turns."""
    image = one_image(data)
    runners: dict[str, Callable[[], object]] = {}
    with ExitStack() as sessions:
        for network in networks:
            session = sessions.enter_context(InferenceSession(network.artifact, threads=threads))
            runners[network.recipe.name] = partial(session.run, None, image)
            for name, graph in _peers(network, data).items():
                runners[f"{network.recipe.name}: {name}"] = onnxruntime_runner(graph, image, threads)
        latencies = measure(runners, rounds=ROUNDS, runs=RUNS, progress=partial(progress, "measuring"))
    return [_measured(network.recipe.name, latencies) for network in networks]


def _peers(network: Network, data: Digits) -> dict[str, ir.Model]:
    """What onnxruntime is given to run: every fair form of the same network."""
    if not network.recipe.integer:
        return {"the same float32 model": network.graph}
    own = quantized_by_onnxruntime(network.floats, calibration_batches(data))
    return {"our Q/DQ graph": network.graph, "its own quantization": own}


def _measured(name: str, latencies: dict[str, Latency]) -> Measured:
    prefix = f"{name}: "
    peers = {key.removeprefix(prefix): each for key, each in latencies.items() if key.startswith(prefix)}
    peer_name, peer = fastest(peers)
    return Measured(latencies[name], peer, f"onnxruntime, {peer_name}")
