"""The whole demo, with trainings of one epoch."""

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from openwork.demo.recipes import RECIPES
from openwork.deploy import verify
from tests.cli.test_json import documented

SEEDS = 2

SHORT_DEMO = """
import sys
from functools import partial
from openwork.cli import main
from openwork.demo import building, measuring, training
training.train_dense = partial(training.train_dense, epochs=1)
training.train_sparse = partial(training.train_sparse, epochs=1)
building.CALIBRATION_IMAGES = 16
measuring.ROUNDS, measuring.RUNS = 2, 3
sys.exit(main(sys.argv[1:]))
"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Demo:
    directory: Path
    result: dict
    messages: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    directory = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--out", str(directory), "--seeds", str(SEEDS), "--json"]
    done = subprocess.run([sys.executable, "-c", SHORT_DEMO, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Demo(directory, json.loads(done.stdout), done.stderr.splitlines())


def test_every_network_is_a_verified_artifact_and_an_onnx_file(demo: Demo) -> None:
    for seed in range(SEEDS):
        for recipe in RECIPES:
            artifact = demo.directory / f"seed{seed}" / recipe.file
            assert verify(artifact).passed
            operators = {node.op_type for node in onnx.load(artifact.with_suffix(".onnx")).graph.node}
            assert ("QuantizeLinear" in operators) == recipe.integer


def test_sparse_networks_have_the_zeros(demo: Demo) -> None:
    sparsity = {}
    for variant in demo.result["variants"]:
        nonzeros, weights = (sum(layer[key] for layer in variant["layers"]) for key in ("nonzeros", "weights"))
        sparsity[variant["name"]] = 1 - nonzeros / weights
    for recipe in RECIPES:
        if recipe.training == "dense":
            assert sparsity[recipe.name] < 0.05
        else:
            assert 0.89 < sparsity[recipe.name] < 0.92
    assert demo.result["variants"][0]["layers"][1]["name"] == "layer1.0.conv1"


def test_there_is_an_accuracy_for_every_seed(demo: Demo) -> None:
    for variant in demo.result["variants"]:
        assert len(variant["accuracies"]) == SEEDS
        assert all(accuracy > 0.3 for accuracy in variant["accuracies"])  # guessing gives 0.1


def test_integers_meet_the_faster_of_two_peers(demo: Demo) -> None:
    peers = {variant["name"]: variant["peer_name"] for variant in demo.result["variants"]}
    for recipe in RECIPES:
        if recipe.integer:
            assert peers[recipe.name] in ("onnxruntime, our Q/DQ graph", "onnxruntime, its own quantization")
        else:
            assert peers[recipe.name] == "onnxruntime, the same float32 model"


def test_the_report_is_written(demo: Demo) -> None:
    rows = list(csv.DictReader((demo.directory / "results.csv").read_text().splitlines()))
    assert [row["network"] for row in rows] == [recipe.name for recipe in RECIPES]
    assert (demo.directory / "report.html").stat().st_size > 10_000
    for plot in ("accuracy_over_training", "layer_sparsity", "latency"):
        assert (demo.directory / f"{plot}.svg").exists() and (demo.directory / f"{plot}.png").exists()


def test_messages_tell_each_stage_once(demo: Demo) -> None:
    assert demo.messages[0] == "training dense, seed 0"
    assert demo.messages[-1] == f"report: {demo.directory / 'report.html'}"
    assert len(set(demo.messages)) == len(demo.messages)


def test_the_guide_tells_the_fields(demo: Demo) -> None:
    assert set(demo.result) - {"schema_version"} == documented("demo")
