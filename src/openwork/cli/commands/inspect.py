"""openwork inspect"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import PATH, json_option, model_options
from openwork.cli.output import print_json, print_line, print_table, stages

if TYPE_CHECKING:
    import onnx_ir as ir

    from openwork.cli.opening import Opening
    from openwork.graph import LayerCount

HEADINGS = ("layer", "operator", "pattern", "weight", "MACs", "effective", "nonzeros", "sparsity")


@click.command()
@click.argument("model", type=PATH)
@model_options
@json_option
def command(model: Path, opening: "Opening", as_json: bool) -> None:
    """Show what a model consists of, what it costs, and where its zeros lie.

    Operators are those in the file. Layers are counted after batch normalization is folded and shapes are
    fixed, as `optimize` would write them. Effective MACs are those with a nonzero weight. The pattern is the
    one that the zeros were most likely cut in: 1x4 or 4x1 if the blocks that hold a weight are at least 90 %
    full, 2:4 if it holds and chance would have broken it, unstructured otherwise; none below 20 % zeros.

    Nodes that `compile` refuses are listed last, with its reasons; what they hide from shape inference is not counted.

    \b
    Example:
      openwork inspect resnet50.onnx
    """
    from openwork.errors import UnsupportedError
    from openwork.graph import count_known, operator_of, total
    from openwork.lowering import refusals

    with stages() as tell:
        tell("loading")
        graph = opening.load(model)
        operators = Counter(operator_of(node) for node in graph.graph)
        opset = graph.opset_imports.get("", 0)
        tell("optimizing")
        try:
            opening.canonicalise_to_lower(graph)
            refused = refusals(graph)
        except UnsupportedError as error:
            refused = error.nodes
        tell("counting")
        layers = count_known(graph)
    sums = total(layers)
    inputs = [_described(value) for value in graph.graph.inputs if not value.is_initializer()]
    outputs = [_described(value) for value in graph.graph.outputs]
    if as_json:
        result = {"model": str(model), "opset": opset, "inputs": inputs, "outputs": outputs}
        figures = {key: getattr(sums, key) for key in ("macs", "effective_macs", "weights", "nonzeros", "sparsity")}
        print_json(
            {
                **result,
                "operators": dict(operators),
                **figures,
                "layers": [*map(_layer_json, layers)],
                "refused": [*map(asdict, refused)],
            }
        )
        return
    print_line(f"{model}, opset {opset}")
    print_line(f"inputs     {', '.join(inputs)}")
    print_line(f"outputs    {', '.join(outputs)}")
    print_line(f"operators  {', '.join(f'{name} {n}' for name, n in operators.most_common())}")
    print_line("")
    print_table(HEADINGS, [_row(layer) for layer in (*layers, sums)], left=3)
    if refused:
        print_line("")
        print_table(
            ("refused", "operator", "reason"), [(each.name, each.operator, each.reason) for each in refused], left=3
        )


def _described(value: "ir.Value") -> str:
    """Its name, type and sizes, as far as they are known."""
    if value.dtype is None or value.dtype == value.dtype.UNDEFINED:
        dtype = "?"
    else:
        dtype = "string" if value.dtype == value.dtype.STRING else value.dtype.numpy().name
    if value.shape is None:
        return f"{value.name} {dtype}"
    sizes = (str(size) if isinstance(size, int) and size >= 0 else getattr(size, "value", None) for size in value.shape)
    return f"{value.name} {dtype}[{', '.join(size or '?' for size in sizes)}]"


def _layer_json(layer: "LayerCount") -> dict[str, object]:
    pattern = str(layer.pattern) if layer.pattern else None
    return {**asdict(layer), "sparsity": layer.sparsity, "pattern": pattern}


def _row(layer: "LayerCount") -> tuple[str, ...]:
    from openwork.report import count_text, percent_text

    return (
        layer.name,
        layer.operator,
        str(layer.pattern or ""),
        "x".join(map(str, layer.weight_shape)),
        count_text(layer.macs),
        count_text(layer.effective_macs),
        f"{layer.nonzeros:,}",
        percent_text(layer.sparsity),
    )
