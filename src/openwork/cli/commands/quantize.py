"""openwork quantize"""

from pathlib import Path

import click

from openwork.cli.options import PATH, Shapes, batch_option, image_options, json_option, shapes_option
from openwork.cli.output import print_json, print_table, stages, told


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--data",
    multiple=True,
    required=True,
    help="Calibration data: FILE, a folder of images, or NAME=FILE. May be repeated.",
)
@click.option("-o", "--output", type=PATH, required=True, help="The ONNX file to write.")
@click.option(
    "--method",
    type=click.Choice(["minmax", "percentile"]),
    default="minmax",
    show_default=True,
    help="Range of an activation: all values seen, or all but the rarest 0.01 %.",
)
@image_options
@shapes_option
@batch_option
@json_option
def command(
    model: Path,
    data: tuple[str, ...],
    output: Path,
    method: str,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    shapes: Shapes,
    batch: int,
    as_json: bool,
) -> None:
    """Turn a float model into an int8 one, as ONNX with QuantizeLinear and DequantizeLinear.

    Weights become int8, symmetric, one scale per output channel: zeros stay zeros. Activations become uint8
    in the range they have on the calibration data: .npy, .npz, raw .bin, a .txt list of such files, or a
    folder of images. Tells how far each output moved on the first batch, as cosine distance.

    \b
    Example:
      openwork quantize model.onnx --data images/ --mean 123.675,116.28,103.53 \\
          --scale 58.395,57.12,57.375 -o int8.onnx
    """
    from openwork.deploy.compare import output_distances
    from openwork.exporters import save_onnx
    from openwork.frontends import ImagePreprocess, count_batches, input_specs, load_model, read_batches, read_one
    from openwork.graph import metadata
    from openwork.passes import canonicalise
    from openwork.quantization import MinMax, Percentile, calibrate, quantize

    with stages() as tell:
        tell("loading")
        graph = load_model(model)
        canonicalise(graph, shapes=dict(shapes), batch=batch)
        inputs, preprocess = input_specs(graph), ImagePreprocess(mean, scale)
        batches = read_batches(data, inputs, preprocess=preprocess)
        batches = told(tell, "calibrating", batches, count_batches(data, inputs))
        ranges = calibrate(graph, batches, MinMax if method == "minmax" else Percentile)
        tell("quantizing")
        integers = quantize(graph, ranges)
        tell("checking")
        distances = output_distances(integers, graph, read_one(data, inputs, preprocess=preprocess))
        tell("writing")
        save_onnx(integers, output, metadata=metadata(integers))
    if as_json:
        print_json({"output": str(output), "method": method, "tensors": len(ranges), "distances": distances})
        return
    print_table(("output", "distance"), [(name, f"{value:.2e}") for name, value in distances.items()])
