"""openwork evaluate"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from openwork.cli.config import config_option, fed, node_name, table_to_read
from openwork.cli.options import (
    PATH,
    Shapes,
    batch_option,
    image_options,
    input_node_option,
    json_option,
    params_option,
    shapes_option,
    trust_option,
)
from openwork.cli.output import print_json, print_table, stages, told

if TYPE_CHECKING:
    from openwork.deploy.accuracy import Accuracy
    from openwork.frontends import TensorSpec

# What `--strategy all` stands for: the columns people compare, float first.
COLUMNS = (
    "null",
    "minmax:perlayer",
    "minmax:perchannel",
    "scale_shift:perlayer",
    "scale_shift:perchannel",
    "symmetry_max:perlayer",
    "symmetry_max:perchannel",
    "fx8",
    "fx16",
    "int8",
)


@click.command()
@config_option(
    {
        "graph": "models",
        "params": "params",
        "strategy": "strategies",
        "weight_quan": "weights",
        "table": "table",
        "image_path": "calibration",
        "image_file": "data",
        "label_file": "label_file",
        "input_node": "input_node",
        "output_node": "output_node",
    }
)
@click.argument("models", metavar="MODEL...", type=PATH, nargs=-1, required=True)
@click.option(
    "--data", multiple=True, required=True, help="FILE, a folder of images, NAME=FILE, or a list of images and labels."
)
@click.option("--labels", type=PATH, help="A .npy file of integers, or a text file with one label a line.")
@click.option("--label-file", type=PATH, help="Names of the classes, one a line, where labels are names.")
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME[:perlayer|:perchannel]",
    help="Quantize each MODEL so, and evaluate that; `all` for the usual ones. May be repeated.",
)
@click.option("--weights", type=click.Choice(["perlayer", "perchannel"]), help="For strategies that do not say.")
@click.option("--calibration", multiple=True, help="Data to calibrate on, as for --data. May be repeated.")
@click.option("--table", type=PATH, help="A calibration table of `openwork quantize`, instead of --calibration.")
@params_option
@input_node_option
@click.option("--output-node", help="The output with the scores, where there are several.")
@click.option("--limit", type=click.IntRange(1), help="Batches to run; all unless given.")
@image_options
@shapes_option
@batch_option
@trust_option
@json_option
def command(
    models: tuple[Path, ...],
    data: tuple[str, ...],
    labels: Path | None,
    label_file: Path | None,
    strategies: tuple[str, ...],
    weights: Literal["perlayer", "perchannel"] | None,
    calibration: tuple[str, ...],
    table: Path | None,
    params: Path | None,
    input_node: str | None,
    output_node: str | None,
    limit: int | None,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    shapes: Shapes,
    batch: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Tell how often classifiers are right: top-1 and top-5, of every strategy in one table.

    MODELs are ONNX or TFLite files, or artifacts. Without --strategy each is run as it is. With it, each must be a
    float model: it is calibrated once, quantized in every way asked for, and run in float arithmetic by onnxruntime,
    or, where the strategy ends in _t, in true integers. Labels count from 0, in the order of the data.

    \b
    Examples:
      openwork evaluate model.onnx int8.onnx --data test.npy --labels labels.npy
      openwork evaluate model.onnx --strategy all --calibration images/ --data test.list --label-file synsets.txt
    """
    from itertools import islice

    from openwork.deploy.accuracy import Classify, accuracies, scores_of
    from openwork.deploy.networks import CompiledNetwork
    from openwork.errors import DataError
    from openwork.frontends import (
        ImagePreprocess,
        count_batches,
        input_specs,
        load_model,
        read_batches,
        replace_weights,
    )
    from openwork.graph import Evaluator
    from openwork.passes import canonicalise
    from openwork.quantization import CalibrationTable, calibrate, calibrated_runners

    preprocess = ImagePreprocess(mean, scale)
    columns, known = _columns(strategies, weights), table_to_read(table)
    output = None if output_node is None else node_name(output_node)
    classifiers: dict[tuple[str, str], Classify] = {}
    takes: dict[Path, tuple[TensorSpec, ...]] = {}
    with stages() as tell, ExitStack() as stack:
        truth, specs = _truth(data, labels, label_file, stack)
        specs, calibration_specs = fed(specs, input_node), fed(calibration, input_node)
        for path in models:
            tell(f"loading {path.name}")
            if path.is_dir():
                if columns:
                    raise DataError(
                        f"{path}: is an artifact, which is as it is; give the float model, or no --strategy"
                    )
                network = stack.enter_context(closing(CompiledNetwork(path)))
                takes[path] = inputs = tuple(network.inputs)
                _check_alike(takes)
                classifiers[str(path), ""] = scores_of(network.run, network.outputs, output)
                continue
            graph = load_model(path, trust=trust, shapes=dict(shapes))
            if params is not None:
                replace_weights(graph, params)
            canonicalise(graph, shapes=dict(shapes), batch=batch)
            takes[path] = inputs = input_specs(graph)
            _check_alike(takes)
            outputs = [str(value.name) for value in graph.graph.outputs]
            if not columns:
                classifiers[str(path), ""] = scores_of(Evaluator(graph, threads=2).run, outputs, output)
                continue
            if known is None and not calibration:
                raise DataError("calibration data: none is given; add --calibration or --table")
            if known is None:
                batches = read_batches(calibration_specs, inputs, preprocess=preprocess)
                total = count_batches(calibration_specs, inputs)
                ranges = calibrate(graph, told(tell, f"calibrating {path.name}", batches, total))
                if table is not None:
                    ranges.save(table)
            else:
                ranges = CalibrationTable.load(known)
            few = read_batches(calibration_specs or specs, inputs, preprocess=preprocess)
            for column, run in calibrated_runners(graph, ranges, columns, islice(few, 8)):
                tell(f"quantized {path.name}: {column}")
                classifiers[str(path), column] = scores_of(run, outputs, output)
        total = min(limit or 1 << 62, count_batches(specs, inputs))
        batches = islice(read_batches(specs, inputs, preprocess=preprocess), limit)
        results = accuracies(classifiers, told(tell, "evaluating", batches, total), truth)
    if as_json:
        rows = [
            {"model": model, "strategy": column or None, **asdict(each)} for (model, column), each in results.items()
        ]
        print_json({"results": rows})
    else:
        _print(models, columns, results)


def _columns(strategies: Iterable[str], weights: str | None) -> list[str]:
    """Each strategy once: `all` spelled out, and :perlayer or :perchannel added where --weights says so."""
    spelled = [name for given in strategies for name in (COLUMNS if given == "all" else (given,))]
    return list(dict.fromkeys(name if ":" in name or weights is None else f"{name}:{weights}" for name in spelled))


def _check_alike(takes: "Mapping[Path, Sequence[TensorSpec]]") -> None:
    """Raises: DataError: the last of these models takes other inputs than the first."""
    from openwork.errors import DataError

    first, last = next(iter(takes.items())), list(takes.items())[-1]
    told = [", ".join(f"{x.name} {x.dtype}{list(x.shape)}" for x in inputs) for _, inputs in (first, last)]
    if told[0] != told[1]:
        raise DataError(f"{last[0]}: takes {told[1]}, {first[0]} takes {told[0]}; evaluate them one by one")


def _truth(
    data: tuple[str, ...], labels: Path | None, label_file: Path | None, stack: ExitStack
) -> tuple[list[int], list[str]]:
    """The labels and the data; without --labels both come from one list."""
    import shlex
    from tempfile import TemporaryDirectory

    from openwork.deploy.accuracy import read_image_list, read_labels
    from openwork.errors import DataError

    if labels is not None:
        return read_labels(labels, label_file), list(data)
    listing = Path(data[0])
    if len(data) != 1 or listing.suffix in (".npy", ".npz", ".bin") or not listing.is_file():
        raise DataError("labels: none are given; add --labels, or give --data one list of images and labels")
    images = Path(stack.enter_context(TemporaryDirectory())) / "images.txt"
    images.write_text("".join(f"{shlex.quote(str(image.absolute()))}\n" for image in read_image_list(listing)))
    return read_labels(listing, label_file), [str(images)]


def _print(models: Sequence[Path], columns: Sequence[str], results: "Mapping[tuple[str, str], Accuracy]") -> None:
    if columns:
        headings = ("top-1 / top-5, %", *(column.replace(":", " ") for column in columns))
        cells = {key: f"{100 * each.top1:.1f} / {100 * each.top5:.1f}" for key, each in results.items()}
        print_table(headings, [(str(model), *(cells[str(model), column] for column in columns)) for model in models])
        return
    rows = [(model, f"{100 * each.top1:.1f} %", f"{100 * each.top5:.1f} %") for (model, _), each in results.items()]
    print_table(("model", "top-1", "top-5"), rows)
