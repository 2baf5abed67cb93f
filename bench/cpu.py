"""ResNet-50, one 224x224 image, on this processor: openwork beside onnxruntime, and OpenVINO if installed.

    python -m bench.cpu
    python -m bench.cpu --only fp32-unstructured --only int8-1x4 -o out/bench.json
    python -m bench.cpu --only int8-1x4 --isa avx512 --isa avx2 --threads 1 --cpu-time

Weights are random, cut to 90 % zeros. For each model all engines take turns in one run. At int8, onnxruntime
runs both our Q/DQ graph and its own quantization of the same float model; OpenVINO reads our Q/DQ graph.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import click
import onnx_ir as ir

from openwork.cli.output import SCHEMA_VERSION, note, print_json, print_line, print_table, stages
from openwork.demo.peers import Inputs, fastest, onnxruntime_runner, quantized_by_onnxruntime
from openwork.deploy import InferenceSession, Latency, measure, processor
from openwork.deploy.compile import compile_model
from openwork.deploy.library import ISA
from openwork.files import write_whole
from openwork.quantization import calibrate, quantize
from openwork.report import ratio_text, seconds_text
from openwork.sparsity import parse_pattern
from openwork.targets import load_target
from openwork.zoo import example_inputs, make_graph

SPARSITY = 0.9
CASES = tuple(f"{dtype}-{weights}" for dtype, weights in product(("fp32", "int8"), ("dense", "unstructured", "1x4")))
CALIBRATION_INPUTS = 4


@dataclass(frozen=True)
class Row:
    """What was measured of one case; latencies by engine, seconds everywhere.

    isa: the instruction set of `openwork`; `openwork avx2` and the like are the same library on others.
    """

    case: str
    isa: str
    compile_seconds: float
    load_seconds: float
    latencies: dict[str, Latency]

    @property
    def peer(self) -> tuple[str, Latency]:
        """The fastest of the others."""
        return fastest({name: latency for name, latency in self.latencies.items() if not name.startswith("openwork")})

    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster openwork is, by engine: ratios of medians."""
        ours = self.latencies["openwork"].median
        return {name: latency.median / ours for name, latency in self.latencies.items() if name != "openwork"}


@click.command()
@click.option("--only", type=click.Choice(CASES), multiple=True, help="Cases to measure; all unless given.")
@click.option("--model", default="resnet50", show_default=True, help="A network of the zoo.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns of each engine.")
@click.option("--runs", type=click.IntRange(1), default=10, show_default=True, help="Inferences in a turn.")
@click.option("--isa", "others", multiple=True, help="Measure openwork on this instruction set too.")
@click.option("--cpu-time", is_flag=True, help="Count the seconds of all cores, not of the clock; for one thread.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also write the JSON to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def main(
    only: tuple[str, ...],
    model: str,
    threads: int,
    rounds: int,
    runs: int,
    others: tuple[str, ...],
    cpu_time: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure ResNet-50 at 224x224, one image, beside onnxruntime and, where installed, OpenVINO."""
    rows = []
    with stages() as progress, tempfile.TemporaryDirectory() as folder:
        for case in only or CASES:
            clock = time.process_time if cpu_time else time.perf_counter
            turns = partial(measure, rounds=rounds, runs=runs, clock=clock, progress=partial(progress, case))
            progress(case, 0, rounds)
            rows.append(measure_case(case, model, threads, others, Path(folder) / case, turns))
    result = {
        "model": model,
        "processor": processor(),
        "threads": threads,
        "cpu_time": cpu_time,
        "sparsity": SPARSITY,
        "rows": [_row_json(row) for row in rows],
    }
    if output is not None:
        write_whole(output, json.dumps({"schema_version": SCHEMA_VERSION, **result}, indent=2) + "\n")
        note(f"{output}: written")
    if as_json:
        print_json(result)
    else:
        print_rows(rows)
        print_line(f"on {processor()}, {', '.join(dict.fromkeys(row.isa for row in rows))}")


def measure_case(
    case: str,
    name: str,
    threads: int,
    others: Sequence[str],
    artifact: Path,
    turns: Callable[..., dict[str, Latency]],
) -> Row:
    """Make the model, compile it, and let all engines take turns on one random input."""
    dtype, weights = case.split("-")
    floats = random_model(name, weights)
    graph = quantize(floats, calibrate(floats, random_inputs(name, CALIBRATION_INPUTS))) if dtype == "int8" else floats
    begin = time.perf_counter()
    compile_model(graph, artifact, target=load_target("cpu"), threads=threads)
    compiled = time.perf_counter()
    with ExitStack() as sessions:
        session = sessions.enter_context(InferenceSession(artifact, threads=threads))
        loaded = time.perf_counter()
        inputs = next(random_inputs(name, 1))
        engines: dict[str, Callable[[], object]] = {"openwork": partial(session.run, None, inputs)}
        for isa in others:
            other = sessions.enter_context(session_on(isa, artifact, threads))
            engines[f"openwork {isa}"] = partial(other.run, None, inputs)
        engines |= peers(floats, graph, name, inputs, threads)
        return Row(case, session.isa, compiled - begin, loaded - compiled, turns(engines))


def session_on(isa: str, artifact: Path, threads: int) -> InferenceSession:
    """A session on another instruction set than the best one. Raises: ArtifactError: this processor lacks it."""
    before = os.environ.get(ISA)
    os.environ[ISA] = isa
    try:
        return InferenceSession(artifact, threads=threads)
    finally:
        del os.environ[ISA]
        os.environ |= {} if before is None else {ISA: before}


def random_model(name: str, weights: str) -> ir.Model:
    """A network of the zoo, dense, or cut in the pattern `weights`."""
    if weights == "dense":
        return make_graph(name)
    return make_graph(name, sparsity=SPARSITY, pattern=parse_pattern(weights))


def random_inputs(name: str, count: int) -> Iterator[Inputs]:
    """Random inputs, one at a time."""
    for seed in range(count):
        yield {key: tensor.numpy() for key, tensor in example_inputs(name, seed=seed).items()}


def peers(
    floats: ir.Model, graph: ir.Model, name: str, inputs: Inputs, threads: int
) -> dict[str, Callable[[], object]]:
    """Every other engine, by name, on its way to run the model."""
    found = {"onnxruntime": onnxruntime_runner(graph, inputs, threads)}
    if graph is not floats:
        own = quantized_by_onnxruntime(floats, random_inputs(name, CALIBRATION_INPUTS))
        found["onnxruntime, own int8"] = onnxruntime_runner(own, inputs, threads)
    if find_spec("openvino"):
        found["OpenVINO"] = openvino_runner(graph, inputs, threads)
    return found


def openvino_runner(model: ir.Model, inputs: Inputs, threads: int) -> Callable[[], object]:
    """One inference by OpenVINO, set up for latency."""
    import openvino

    core = openvino.Core()
    network = core.read_model(ir.to_proto(model).SerializeToString())
    # Left to itself OpenVINO computes float networks in bfloat16 where the processor has it.
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    return partial(request.infer, dict(inputs), share_inputs=True, share_outputs=True)


def print_rows(rows: list[Row]) -> None:
    """One line an engine, then how long compiling and loading took."""
    lines = []
    for row in rows:
        for engine, latency in row.latencies.items():
            ratio = "" if engine == "openwork" else ratio_text(row.ratios[engine])
            times = (seconds_text(latency.median), seconds_text(latency.p90))
            lines.append((row.case, engine, *times, f"{latency.cv:.1%}", ratio))
    print_table(("case", "engine", "median", "p90", "cv", "vs openwork"), lines, left=2)
    seconds = [(row.case, seconds_text(row.compile_seconds), seconds_text(row.load_seconds)) for row in rows]
    print_table(("case", "compile", "load"), seconds)


def _row_json(row: Row) -> dict[str, object]:
    return {**asdict(row), "ratios": row.ratios, "fastest_peer": row.peer[0]}


if __name__ == "__main__":
    main()
