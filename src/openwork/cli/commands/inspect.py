"""openwork inspect"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openwork.cli.options import PATH, Shapes, batch_option, json_option, shapes_option
from openwork.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    import onnx_ir as ir

HEADINGS = ("layer", "operator", "pattern", "weight", "MACs", "effective", "nonzeros", "sparsity")


@click.command()
@click.argument("model", type=PATH)
@shapes_option
@batch_option
@json_option
def command(model: Path, shapes: Shapes, batch: int, as_json: bool) -> None:
    """Show what a model consists of, what it costs, and where its zeros lie.

    Operators are those in the file. Layers are counted after batch normalization is folded and shapes are
    fixed, as `optimize` would write them. Effective MACs are those with a nonzero weight; the pattern is the
    strictest one that the zeros of the layer have (unstructured, 2:4, 1x4, 4x1).

    \b
    Example:
      openwork inspect resnet50.onnx
    """
    from openwork.cli.layers import describe_layers, totals
    from openwork.frontends import input_specs, load_model
    from openwork.passes import canonicalise

    graph = load_model(model)
    operators = Counter(node.op_type for node in graph.graph)
    opset = graph.opset_imports.get("", 0)
    canonicalise(graph, shapes=dict(shapes), batch=batch)
    layers = describe_layers(graph)
    sums = totals(layers)
    inputs = [f"{tensor.name} {tensor.dtype}{list(tensor.shape)}" for tensor in input_specs(graph)]
    outputs = [_described(value) for value in graph.graph.outputs]
    if as_json:
        result = {"model": str(model), "opset": opset, "inputs": inputs, "outputs": outputs}
        print_json({**result, "operators": dict(operators), **sums, "layers": layers})
        return
    print_line(f"{model}, opset {opset}")
    print_line(f"inputs     {', '.join(inputs)}")
    print_line(f"outputs    {', '.join(outputs)}")
    print_line(f"operators  {', '.join(f'{name} {n}' for name, n in operators.most_common())}")
    print_line("")
    total = {"name": "total", "operator": "", "weight_shape": (), "pattern": None, **sums}
    print_table(HEADINGS, [_row(layer) for layer in (*layers, total)], left=3)


def _described(value: "ir.Value") -> str:
    from openwork.graph import static_shape

    assert value.dtype is not None  # canonical
    return f"{value.name} {value.dtype.numpy().name}{list(static_shape(value))}"


def _row(layer: Mapping[str, Any]) -> tuple[str, ...]:
    from openwork.report import count_text, percent_text

    return (
        layer["name"],
        layer["operator"],
        layer["pattern"] or "",
        "x".join(map(str, layer["weight_shape"])),
        count_text(layer["macs"]),
        count_text(layer["effective_macs"]),
        f"{layer['nonzeros']:,}",
        percent_text(layer["sparsity"]),
    )
