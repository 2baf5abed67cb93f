"""The main job: from real images to sparse, quantized, verified and measured native libraries."""

from importlib.metadata import version
from pathlib import Path

from openwork.demo.building import Network, build_networks
from openwork.demo.measuring import ROUNDS, RUNS, Measured, measure_beside_onnxruntime
from openwork.demo.training import Progress, histories, train_networks
from openwork.deploy import InferenceSession, processor
from openwork.graph import count
from openwork.report import Layer, Results, Variant, write_report
from openwork.zoo import load_digits_split


def run_demo(directory: Path, *, seeds: int = 1, threads: int = 2, progress: Progress) -> Results:
    """Train, cut, quantize, compile, verify, measure and report.

    Args:
        directory: gets `report.html`, `results.csv`, the plots, and in `seedN` the ONNX files and artifacts.
        seeds: training is repeated with the seeds 0 to seeds - 1, each with its own held-out images.
            Accuracies are means over them; all else is seed 0's.
        threads: of one inference.
    Raises: VerificationError: an artifact does not compute what its model says. ArtifactError: the directory
        cannot be written.
    """
    runs = []
    for seed in range(seeds):
        data = load_digits_split(seed)
        trained = train_networks(data, seed, progress)
        networks = build_networks(data, trained, directory / f"seed{seed}", threads, progress)
        runs.append((data, trained, networks))

    data, trained, networks = runs[0]
    measured = measure_beside_onnxruntime(networks, data, threads, progress)
    accuracies = zip(*([network.accuracy for network in networks] for _, _, networks in runs), strict=True)
    results = Results(
        title="ResNet-20 on handwritten digits",
        trainings=histories(trained),
        variants=tuple(map(_variant, networks, measured, accuracies)),
        facts=_facts(networks[0].artifact, seeds, threads),
    )
    write_report(results, directory)
    return results


def _variant(network: Network, measured: Measured, accuracies: tuple[float, ...]) -> Variant:
    shipped = ("deploy.so", "deploy.params")
    return Variant(
        name=network.recipe.name,
        accuracies=accuracies,
        layers=tuple(Layer(layer.name, layer.weights, layer.nonzeros) for layer in count(network.graph)),
        file_bytes=sum((network.artifact / file).stat().st_size for file in shipped),
        latency=measured.latency,
        peer=measured.peer,
        peer_name=measured.peer_name,
    )


def _facts(artifact: Path, seeds: int, threads: int) -> dict[str, str]:
    with InferenceSession(artifact) as session:
        isa = session.isa
    averaged = f"mean over the seeds 0 to {seeds - 1}" if seeds > 1 else "seed 0"
    return {
        "data": "1,797 handwritten digits of scikit-learn, enlarged to 16x16; a fifth is held out, "
        "with equal shares of every digit",
        "accuracy": f"on the held-out images, by the compiled library; {averaged}",
        "files": "deploy.so and deploy.params: all that must be shipped",
        "latency": f"one image, {ROUNDS * RUNS} inferences by each engine, taking turns {ROUNDS} times",
        "threads": str(threads),
        "processor": f"{processor()}, kernels for {isa}",
        "versions": ", ".join(f"{name} {version(name)}" for name in ("openwork", "onnxruntime", "torch")),
    }
