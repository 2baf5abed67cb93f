"""openwork compile"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from openwork.cli.options import PATH, json_option, model_options
from openwork.cli.output import note, print_json, stages

if TYPE_CHECKING:
    from openwork.cli.opening import Opening


@click.command()
@click.argument("model", type=PATH)
@click.option("--target", default="cpu", show_default=True, help="A chip that `openwork targets` lists.")
@click.option("-o", "--output", type=PATH, required=True, help="The directory to write.")
@click.option(
    "--threads",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Threads of one inference, unless told otherwise when it runs.",
)
@click.option(
    "--layout",
    type=click.Choice(["nchw", "nhwc"]),
    default="nchw",
    show_default=True,
    help="Layout of inputs and outputs with four dimensions.",
)
@click.option("--force", is_flag=True, help="Delete files that openwork did not write with an older artifact.")
@model_options
@json_option
def command(
    model: Path,
    target: str,
    output: Path,
    threads: int,
    layout: Literal["nchw", "nhwc"],
    force: bool,
    opening: "Opening",
    as_json: bool,
) -> None:
    """Compile a model to a native library, and prove it.

    The directory holds the library, its weights, test inputs with the results to expect, a program that runs
    them, and a manifest with the hash of each file. Before it appears, the library has run the test inputs, which
    are random, and within the range of the integers that they become, if they do. The reference is the MODEL's own
    file, run by onnxruntime, or by an interpreter of TFLite if one is installed; integer results must equal those of
    openwork's interpreter, which are held against the file's. All instruction sets that this machine has are proved,
    in a process of their own.

    \b
    Example:
      openwork compile int8.onnx --target cpu -o deploy --threads 2
    """
    from openwork.cli.differences import differences_json, print_differences
    from openwork.deploy.compile import compile_model
    from openwork.deploy.place import check_artifact_place
    from openwork.targets import load_target

    chip = load_target(target)
    check_artifact_place(output, force=force)
    begin = time.perf_counter()
    with stages() as tell:
        tell("loading")
        graph = opening.load(model)
        opening.canonicalise_to_lower(graph)
        tell("compiling")
        artifact = compile_model(
            graph, output, target=chip, threads=threads, layout=layout, original=model, force=force
        )
    seconds = time.perf_counter() - begin
    notes = artifact.notes()
    for text in notes:
        note(f"note: {text}")
    note(f"{output}: compiled for {target} in {seconds:.1f} s, proved on {', '.join(artifact.proved)}")
    note(f"reference: {artifact.reference}")
    if as_json:
        outputs = differences_json(artifact.proof)
        result = {"artifact": str(output), "target": target, "seconds": seconds}
        proof = {"proved": list(artifact.proved), "reference": asdict(artifact.reference)}
        print_json({**result, **proof, "outputs": outputs, "notes": notes})
        return
    print_differences(artifact.proof)
