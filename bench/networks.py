"""Every network of the zoo, 80 % of its weights cut, float32 and int8: how far from onnxruntime, and how fast.

    python -m bench.networks -o docs/networks.md
    python -m bench.networks --only resnet20 --only ds_cnn --json

Weights are random. Both engines run the same graph, at int8 the one with QuantizeLinear and DequantizeLinear, and take
turns in one run. What was measured of a network is kept in the folder --cache, so that a run that was stopped goes on
where it was; empty that folder to measure again.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import click
import onnx_ir as ir

from openwork import __version__
from openwork.cli.output import SCHEMA_VERSION, note, print_json, stages
from openwork.demo.peers import Inputs, onnxruntime_runner
from openwork.deploy import InferenceSession, Latency, measure, processor
from openwork.deploy.compile import compile_model
from openwork.deploy.proof.difference import cosine_distance, difference, value_range
from openwork.errors import OpenworkError
from openwork.files import write_whole
from openwork.graph import count, evaluate, static_shape, total
from openwork.lowering import Conv, FullyConnected, MatMul, Program, lower
from openwork.quantization import calibrate, quantize
from openwork.report import count_text, percent_text, ratio_text, seconds_text
from openwork.targets import load_target
from openwork.zoo import cost, example_inputs, make_graph, zoo_names

SPARSITY = 0.8
DTYPES = ("fp32", "int8")
CALIBRATION_SEEDS = range(1, 5)
HEADINGS = (
    "network",
    "input",
    "parameters",
    "MACs",
    "sparsity",
    "dtype",
    "in integers",
    "distance",
    "largest difference",
    "openwork",
    "onnxruntime",
    "ratio",
)


@dataclass(frozen=True)
class Row:
    """What was measured of one network.

    inputs: shape of each. parameters: of the dense network. macs: multiply-accumulates with all weights.
    sparsity: fraction of weights that are zero.
    integer_share: fraction of the multiply-accumulates with weights that are of integers.
    float_steps: how many steps of each kind compute floats.
    distance: cosine distance from onnxruntime on the same graph; from_float: from the float network. Of the output
        where it is largest, as is largest_difference, a fraction of the output's range.
    openwork, onnxruntime: latencies in seconds.
    """

    name: str
    dtype: str
    inputs: dict[str, list[int]]
    parameters: int
    macs: int
    sparsity: float
    integer_share: float
    float_steps: dict[str, int]
    distance: float
    largest_difference: float
    from_float: float
    openwork: Latency
    onnxruntime: Latency

    @property
    def ratio(self) -> float:
        """How many times faster openwork is: ratio of medians."""
        return self.onnxruntime.median / self.openwork.median

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Row":
        latencies = {engine: Latency(**entry[engine]) for engine in ("openwork", "onnxruntime")}
        return cls(**{**entry, **latencies})


@click.command()
@click.option("--only", type=click.Choice(zoo_names()), multiple=True, help="Networks to measure; all unless given.")
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns of each engine.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Inferences in a turn.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path("out/networks"),
    show_default=True,
    help="Folder of what was measured already.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the table to this Markdown file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def main(
    only: tuple[str, ...],
    threads: int,
    rounds: int,
    runs: int,
    cache: Path,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the networks of the zoo beside onnxruntime."""
    cache.mkdir(parents=True, exist_ok=True)
    rows, failures = [], []
    with stages() as progress:
        for name in only or zoo_names():
            try:
                for row in measured(name, threads, cache, partial(measure, rounds=rounds, runs=runs), progress):
                    rows.append(row)
            except OpenworkError as error:
                failures.append(f"{name}: {error}")
    if output is not None:
        write_whole(output, page(rows, threads))
        note(f"{output}: written")
    if as_json:
        figures = [{**asdict(row), "ratio": row.ratio} for row in rows]
        print_json({"threads": threads, "sparsity": SPARSITY, "rows": figures, "failures": failures})
    else:
        print(table(rows))
    for failure in failures:
        note(failure)
    if failures:
        raise SystemExit(1)


def measured(
    name: str,
    threads: int,
    cache: Path,
    turns: Callable[..., dict[str, Latency]],
    progress: Callable[..., None],
) -> Iterator[Row]:
    """A row for each dtype of a network, from the cache where it is there."""
    files = {dtype: cache / f"{name}-{dtype}-{__version__}-{threads}.json" for dtype in DTYPES}
    floats = None
    for dtype, file in files.items():
        if not file.exists():
            stage = f"{name} {dtype}"
            floats = floats or make_graph(name, sparsity=SPARSITY, progress=lambda text: progress(f"{name}: {text}"))
            progress(f"{stage}: compiling")
            row = measure_network(name, dtype, floats, threads, partial(turns, progress=partial(progress, stage)))
            write_whole(file, json.dumps({"schema_version": SCHEMA_VERSION, **asdict(row)}, indent=2) + "\n")
        entry = json.loads(file.read_text())
        del entry["schema_version"]
        yield Row.from_json(entry)


def measure_network(
    name: str, dtype: str, floats: ir.Model, threads: int, turns: Callable[..., dict[str, Latency]]
) -> Row:
    """Quantize if asked to, compile, hold against onnxruntime, and let both take turns on one input."""
    model = floats
    if dtype == "int8":
        model = quantize(floats, calibrate(floats, (inputs_of(name, seed) for seed in CALIBRATION_SEEDS)))
    inputs = inputs_of(name, seed=9)
    program = lower(model)
    with tempfile.TemporaryDirectory() as folder:
        compile_model(model, Path(folder) / "artifact", target=load_target("cpu"), threads=threads)
        with InferenceSession(Path(folder) / "artifact", threads=threads) as session:
            outputs = dict(zip(program.outputs, session.run(None, inputs), strict=True))
            references, real = evaluate(model, inputs), evaluate(floats, inputs)
            latencies = turns(
                {
                    "openwork": partial(session.run, None, inputs),
                    "onnxruntime": onnxruntime_runner(model, inputs, threads),
                }
            )
    found = [difference(output, array, references[output], 0) for output, array in outputs.items()]
    dense, layers = cost(name), total(count(model))
    return Row(
        name=name,
        dtype=dtype,
        inputs={str(value.name): list(static_shape(value)) for value in model.graph.inputs},
        parameters=dense.parameters,
        macs=dense.macs,
        sparsity=layers.sparsity,
        integer_share=integer_share(program),
        float_steps=float_steps(program),
        distance=max(each.distance for each in found),
        largest_difference=max(each.max_abs_diff / value_range(references[each.name]) for each in found),
        from_float=max(cosine_distance(array, real[output]) for output, array in outputs.items()),
        **latencies,
    )


def inputs_of(name: str, seed: int) -> Inputs:
    """Random inputs of a network, as arrays."""
    return {key: tensor.numpy() for key, tensor in example_inputs(name, seed=seed).items()}


def integer_share(program: Program) -> float:
    """The fraction of the multiply-accumulates with weights that are of integers."""
    integers, floats = weighted_macs(program)
    return integers / (integers + floats)


def weighted_macs(program: Program) -> tuple[int, int]:
    """Multiply-accumulates with weights: of integers, and of floats."""
    integers = floats = 0
    for step in program.steps:
        match step:
            case Conv() | FullyConnected():
                inner = prod(program.constants[step.weight].shape[1:])
            case MatMul(inputs=(left, right)) if left in program.constants or right in program.constants:
                inner = (program.buffers.get(left) or program.constants[left]).shape[-1]
            case _:
                continue
        macs = inner * prod(program.buffers[step.output].shape)
        if step.requantize is None:
            floats += macs
        else:
            integers += macs
    return integers, floats


def float_steps(program: Program) -> dict[str, int]:
    """How many steps of each kind give floats; a Dequantize computes nothing."""
    kinds = Counter(
        type(step).__name__
        for step in program.steps
        if program.buffers[step.output].dtype == "float32" and type(step).__name__ != "Dequantize"
    )
    return dict(kinds.most_common())


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [HEADINGS, ("---",) * 2 + ("---:",) * 3 + ("---",) + ("---:",) * 6, *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(row: Row) -> tuple[str, ...]:
    """One row of text, in the order of HEADINGS."""
    return (
        row.name,
        ", ".join(dict.fromkeys("x".join(map(str, shape)) for shape in row.inputs.values())),
        count_text(row.parameters),
        count_text(row.macs),
        percent_text(row.sparsity),
        row.dtype,
        percent_text(row.integer_share) if row.dtype == "int8" else "",
        f"{row.distance:.1e}" if row.distance else "0",
        f"{row.largest_difference:.1e}" if row.largest_difference else "0",
        seconds_text(row.openwork.median),
        seconds_text(row.onnxruntime.median),
        ratio_text(row.ratio),
    )


def page(rows: list[Row], threads: int) -> str:
    """The documentation page."""
    return f"""# Networks

Written by `python -m bench.networks -o docs/networks.md`.

Networks of `openwork zoo` with random weights, of which {SPARSITY:.0%} were cut by magnitude, except in the first
convolution and in depthwise ones. One input, {threads} threads, {os.cpu_count()} cores of
{processor()}, openwork {__version__}, onnxruntime
{version("onnxruntime")}. Both engines run the same graph and take turns; latencies are medians.

- **sparsity**: zeros among all weights. **in integers**: how much of the multiply-accumulates with weights is of
  integers.
- **distance**: cosine distance of the output from what onnxruntime computes on the same graph. **largest difference**:
  as a fraction of the output's range. Of several outputs the worst.
- **ratio**: how many times faster openwork is.

{table(rows)}
"""


if __name__ == "__main__":
    main()
