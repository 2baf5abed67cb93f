"""Steps 3 and 4: export, quantize, compile, verify."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from openwork.demo.recipes import RECIPES, Recipe
from openwork.demo.training import Progress, Trained
from openwork.deploy import InferenceSession, verify
from openwork.deploy.compile import compile_model
from openwork.errors import VerificationError
from openwork.exporters import save_onnx
from openwork.frontends.torch import from_torch
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from openwork.zoo import Digits

INPUT = "x"
CALIBRATION_IMAGES = 256


@dataclass(frozen=True, eq=False)
class Network:
    """What became of a recipe.

    floats: the graph before quantization. graph: what was compiled.
    accuracy: of the artifact, on held-out images.
    """

    recipe: Recipe
    floats: ir.Model
    graph: ir.Model
    artifact: Path
    accuracy: float


def build_networks(
    data: Digits, trained: dict[str, Trained], folder: Path, threads: int, progress: Progress
) -> list[Network]:
    """Each of RECIPES as ONNX file and verified artifact, with batch 1, in `folder`."""
    networks = []
    for done, recipe in enumerate(RECIPES):
        progress(f"compiling, {folder.name}", done, len(RECIPES))
        floats = export(trained[recipe.training])
        graph = quantize(floats, calibrate(floats, calibration_batches(data))) if recipe.integer else floats
        artifact = folder / recipe.file
        save_onnx(graph, artifact.with_suffix(".onnx"))
        compile_model(graph, artifact, target=load_target("cpu"), threads=threads)
        if not verify(artifact).passed:
            raise VerificationError(f"{artifact}: differs from its reference; please report this")
        networks.append(Network(recipe, floats, graph, artifact, accuracy(artifact, data)))
    progress(f"compiling, {folder.name}", len(RECIPES), len(RECIPES))
    return networks


def export(network: Trained) -> ir.Model:
    """The canonical graph of a trained network, for one image."""
    graph = from_torch(network.module, [torch.zeros(1, 1, 16, 16)], input_names=[INPUT])
    canonicalise(graph)
    return graph


def one_image(data: Digits) -> dict[str, NDArray[np.generic]]:
    """A held-out image, as the input of a network."""
    return {INPUT: data.held_out_images[:1]}


def calibration_batches(data: Digits) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Training images, one at a time."""
    return ({INPUT: image[np.newaxis]} for image in data.train_images[:CALIBRATION_IMAGES])


def accuracy(artifact: Path, data: Digits) -> float:
    """Share of held-out images that the compiled network classifies correctly."""
    with InferenceSession(artifact) as session:
        logits = session.run(None, {INPUT: data.held_out_images})[0]
    return float(np.mean(logits.argmax(axis=1) == data.held_out_labels))
