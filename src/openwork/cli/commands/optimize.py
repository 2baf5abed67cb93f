"""openwork optimize"""

from pathlib import Path

import click

from openwork.cli.options import PATH, Shapes, batch_option, json_option, shapes_option, trust_option
from openwork.cli.output import print_json, print_table, stages


@click.command()
@click.argument("model", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The ONNX file to write.")
@shapes_option
@batch_option
@trust_option
@json_option
def command(model: Path, output: Path, shapes: Shapes, batch: int, trust: bool, as_json: bool) -> None:
    """Rewrite a model into the form that openwork compiles; it computes the same.

    Shapes become static, batch normalization is folded into the layer before it, what depends on constants
    only is computed, and nodes that nobody reads go.

    \b
    Example:
      openwork optimize exported.onnx --set-shape x=1,3,224,224 -o model.onnx
    """
    from openwork.exporters import save_onnx
    from openwork.frontends import load_model
    from openwork.graph import metadata
    from openwork.passes import canonicalise

    with stages() as tell:
        tell("loading")
        graph = load_model(model, trust=trust, shapes=dict(shapes))
        before, size_before = len(graph.graph), model.stat().st_size
        tell("optimizing")
        canonicalise(graph, shapes=dict(shapes), batch=batch)
        tell("writing")
        save_onnx(graph, output, metadata=metadata(graph))
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
