"""openwork optimize"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import FILE_TO_WRITE, PATH, json_option, model_options
from openwork.cli.output import print_json, print_table, stages

if TYPE_CHECKING:
    from openwork.cli.opening import Opening


@click.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=FILE_TO_WRITE, required=True, help="The ONNX file to write.")
@click.option(
    "--sparse-weights", is_flag=True, help="Store weights by their nonzero elements where that takes fewer bytes."
)
@model_options
@json_option
def command(model: Path, output: Path, sparse_weights: bool, opening: "Opening", as_json: bool) -> None:
    """Rewrite a model into the form that openwork compiles; it computes the same.

    Shapes become static, batch normalization is folded into the layer before it, what depends on constants
    only is computed, and nodes that nobody reads go. With --sparse-weights the file is small where weights were cut:
    it has them as ONNX's sparse_initializer, which onnxruntime reads too.

    \b
    Example:
      openwork optimize exported.onnx --set-shape x=1,3,224,224 -o model.onnx
    """
    from openwork.exporters import save_onnx
    from openwork.graph import metadata

    with stages() as tell:
        tell("loading")
        graph = opening.load(model)
        before, size_before = len(graph.graph), model.stat().st_size
        tell("optimizing")
        opening.canonicalise(graph)
        tell("writing")
        save_onnx(graph, output, metadata=metadata(graph), sparse=sparse_weights)
    after, size_after = len(graph.graph), output.stat().st_size
    if as_json:
        counts = {"nodes_before": before, "nodes": after, "bytes_before": size_before, "bytes": size_after}
        print_json({"output": str(output), **counts})
        return
    rows = [
        (str(path), f"{n:,}", f"{size:,}")
        for path, n, size in ((model, before, size_before), (output, after, size_after))
    ]
    print_table(("model", "nodes", "bytes"), rows)
