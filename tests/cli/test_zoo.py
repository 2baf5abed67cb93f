from pathlib import Path

import pytest

from openwork.cli import main
from tests.cli.conftest import Ask


def test_make_writes_a_network_with_the_zeros_asked_for(tmp_path: Path, ask: Ask) -> None:
    model = tmp_path / "r20.onnx"
    options = ["--sparsity", "0.75", "--pattern", "1x4", "--seed", "3"]
    assert main(["zoo", "make", "resnet20", "-o", str(model), *options]) == 0
    layers = ask("inspect", model)["layers"]
    assert layers[0]["pattern"] is None
    assert {layer["pattern"] for layer in layers[1:]} == {"1x4"}
    first = model.read_bytes()
    assert main(["zoo", "make", "resnet20", "-o", str(model), *options]) == 0
    assert model.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["lenet"], "lenet: no such network"),
        (["resnet20", "--sparsity", "1.5"], "sparsity 1.5"),
        (["resnet20", "--sparsity", "nan"], "sparsity nan"),
        (["resnet20", "--seed", "-1"], "--seed"),
        (["resnet20", "--pattern", "stripes"], "pattern 'stripes'"),
    ],
)
def test_make_refuses_what_it_does_not_know(
    arguments: list[str], cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["zoo", "make", *arguments, "-o", str(tmp_path / "m.onnx")]) == 2
    assert cause in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
