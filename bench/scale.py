"""How compiling grows: seconds with the number of nodes, memory with the size of the weights; and what a start costs.

    python -m bench.scale
    python -m bench.scale --nodes 100 --nodes 1000 --megabytes 50

Nodes: a chain of convolutions, gates and sums, pruned, in float32 and in int8; the front end is all that comes before C
is compiled: reading, canonical form, lowering, plan, memory, generated source. Weights: one dense and one pruned matrix
product, through `openwork compile`. Each is measured in a process of its own; seconds are of the processor, with
Python's start and child processes.
"""

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from openwork.cli.output import SCHEMA_VERSION, print_json, print_line, print_table, stages

SHAPE = [1, 8, 8, 8]


@dataclass(frozen=True)
class Growth:
    """What was measured. size: nodes, or bytes of the file. cost: seconds, or bytes of memory at the peak."""

    case: str
    size: int
    cost: float


@click.command()
@click.option("--nodes", type=int, multiple=True, default=(100, 1_000, 3_000, 10_000), help="Sizes of chains.")
@click.option("--megabytes", type=int, multiple=True, default=(10, 100, 286), help="Sizes of matrices.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(nodes: Sequence[int], megabytes: Sequence[int], as_json: bool) -> None:
    """Measure how compiling grows."""
    with tempfile.TemporaryDirectory() as name, stages() as tell:
        folder = Path(name)
        tell("starting")
        starts = {command: _start(command, folder) for command in ("--help", "inspect", "compile")}
        front_ends, peaks = [], []
        for count in nodes:
            tell(f"{count:,} nodes")
            write_chain(folder / "float32.onnx", count)
            _in_child("quantize_file", folder / "float32.onnx", folder / "int8.onnx")
            front_ends += [Growth(case, count, _front_end(folder / f"{case}.onnx")) for case in ("float32", "int8")]
        for size in megabytes:
            for case, density in (("dense", 1.0), ("90 % zeros", 0.1)):
                tell(f"{size} MB, {case}")
                path = folder / "matrix.onnx"
                write_matrix(path, size * 1_000_000, density)
                peaks.append(Growth(case, path.stat().st_size, float(_in_child("peak", path, folder / "deploy"))))
    if as_json:
        tables = {"front_end": [*map(asdict, front_ends)], "memory": [*map(asdict, peaks)]}
        print_json({"schema_version": SCHEMA_VERSION, "start_seconds": starts, **tables})
        return
    print_table(("command", "CPU"), [(name, f"{seconds:.2f} s") for name, seconds in starts.items()])
    print_line("")
    rows = [(each.case, f"{each.size:,}", f"{each.cost:.2f} s") for each in front_ends]
    print_table(("network", "nodes", "front end"), [*rows, *_slopes(front_ends, "1,000 nodes", 1e-3, "s")])
    print_line("")
    rows = [(each.case, f"{each.size / 1e6:.0f} MB", f"{each.cost / 1e6:.0f} MB") for each in peaks]
    print_table(("weights", "file", "peak memory"), [*rows, *_slopes(peaks, "MB of the file", 1.0, "MB")])


def _slopes(found: Sequence[Growth], unit: str, scale: float, of: str) -> list[tuple[str, str, str]]:
    """What each case grows by from its smallest size to its largest."""
    rows = []
    for case in dict.fromkeys(each.case for each in found):
        sizes = [each for each in found if each.case == case]
        small, large = sizes[0], sizes[-1]
        if large.size > small.size:
            slope = (large.cost - small.cost) / (large.size - small.size)
            rows.append((case, f"each {unit}", f"{slope / scale:.2f} {of}"))
    return rows


def write_chain(path: Path, count: int) -> None:
    """A network of `count` nodes: Conv, Relu, Sigmoid, Mul with the Relu, Add of what the Conv read, and so on.

    Weights are so small that the numbers stay finite.
    """
    rng = np.random.default_rng(0)
    nodes, weights, x, read = [], [], "x", "x"
    for index in range(count):
        name = f"t{index}"
        match index % 5:
            case 0:
                weight = rng.normal(0, 0.002, (8, 8, 3, 3)).astype(np.float32)
                weights.append(
                    numpy_helper.from_array(np.where(rng.random(weight.shape) < 0.8, 0, weight), f"w{index}")
                )
                nodes.append(helper.make_node("Conv", [x, f"w{index}"], [name], pads=[1] * 4))
                read = x
            case 1:
                nodes.append(helper.make_node("Relu", [x], [name]))
            case 2:
                nodes.append(helper.make_node("Sigmoid", [x], [name]))
            case 3:
                nodes.append(helper.make_node("Mul", [x, f"t{index - 2}"], [name]))
            case 4:
                nodes.append(helper.make_node("Add", [x, read], [name]))
        x = name
    _save(path, nodes, SHAPE, x, weights)


def write_matrix(path: Path, nbytes: int, density: float) -> None:
    """One product with a square matrix of `nbytes` bytes."""
    rng, side = np.random.default_rng(0), round((nbytes / 4) ** 0.5)
    weight = rng.standard_normal((side, side), dtype=np.float32)
    if density < 1:
        weight[rng.random(weight.shape, dtype=np.float32) >= density] = 0
    _save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [1, side], "y", [numpy_helper.from_array(weight, "w")])


def _save(path: Path, nodes: list[onnx.NodeProto], shape: list[int], output: str, weights: list[TensorProto]) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", output)]
    graph = helper.make_graph(nodes, "scale", values[:1], values[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def _start(command: str, folder: Path) -> float:
    write_chain(folder / "small.onnx", 5)
    arguments = {"--help": [], "inspect": ["small.onnx"], "compile": ["small.onnx", "-o", "small"]}[command]
    _openwork(folder, command, *arguments)  # fills caches
    return _cpu(lambda: _openwork(folder, command, *arguments))


def _cpu(work: Callable[[], object]) -> float:
    """Seconds of the processor that the children take which `work` starts, and theirs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _openwork(folder: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "openwork.cli", *arguments], cwd=folder, check=True, capture_output=True)


def _front_end(path: Path) -> float:
    return _cpu(lambda: _in_child("front_end", path))


def _in_child(function: str, *arguments: object) -> str:
    """What one of the functions below prints, in a process of its own."""
    program = f"import sys; from bench.scale import {function}; {function}(*sys.argv[1:])"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def quantize_file(path: str, output: str) -> None:
    """Quantize a network with one random input."""
    from openwork.exporters import save_onnx
    from openwork.frontends import load_model
    from openwork.passes import canonicalise
    from openwork.quantization import calibrate, quantize

    model = load_model(Path(path))
    canonicalise(model)
    x = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    save_onnx(quantize(model, calibrate(model, [{"x": x}])), Path(output))


def front_end(path: str) -> None:
    """From the file to generated C."""
    from openwork.backends.cpu import WIDTHS
    from openwork.backends.cpu.emit import emit
    from openwork.backends.cpu.steps import make_plan
    from openwork.frontends import load_model
    from openwork.lowering import lower, plan_arena
    from openwork.passes import canonicalise

    model = load_model(Path(path))
    canonicalise(model)
    plan = make_plan(lower(model, WIDTHS), 2)
    emit(plan, plan_arena([(r.first, r.last) for r in plan.regions], [r.nbytes for r in plan.regions]))


def peak(path: str, directory: str) -> None:
    """Print the bytes that the largest process of `openwork compile` has in memory."""
    command = [sys.executable, "-m", "openwork.cli", "compile", path, "-o", directory]
    subprocess.run(command, check=True, capture_output=True)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)


if __name__ == "__main__":
    main()
