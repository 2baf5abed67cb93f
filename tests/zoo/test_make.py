from collections import Counter
from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from openwork.compression import Cut, choose_cuts
from openwork.errors import ModelError, PatternError
from openwork.graph import evaluate
from openwork.sparsity import Unstructured, find_pattern, parse_pattern
from openwork.zoo import example_inputs, make_graph, make_model, output_names, zoo_names
from openwork.zoo.mobilenet import InvertedResidual
from openwork.zoo.resnet import BasicBlock, Bottleneck

# Small enough that each network is made in a second or two.
SIZES = {"resnet20": 16, "bert_mini": 16, "ds_cnn": None, "autoencoder": None}
# The others have many weights or pixels, and are made in the same way.
LARGE = ("vgg16", "unet", "resnet18", "resnet50", "resnext50", "swin_tiny", "convnext_tiny")
QUICK = [name for name in zoo_names() if name not in LARGE]


def small(name: str) -> int | None:
    return SIZES.get(name, 64)


@cache
def small_graph(name: str, batch: int) -> ir.Model:
    return make_graph(name, sparsity=0.8, size=small(name), batch=batch, seed=3)


def run(model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        result = model(*inputs.values())
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", QUICK)
def test_activations_are_those_of_a_trained_network(name: str) -> None:
    """Nothing vanishes or explodes, the input matters, and what is not to be cut is dense."""
    model = make_model(name, sparsity=0.8, size=small(name))
    assert not model.training
    spreads = {}

    def watch(layer: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            spreads[layer] = float(output.std())

        module.register_forward_hook(hook)

    for layer, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm | nn.Conv2d | nn.Linear):
            watch(layer, module)
    outputs = run(model, example_inputs(name, batch=8, size=small(name), seed=99))
    assert len(spreads) >= 10
    assert all(0.02 < spread < 50 for spread in spreads.values()), spreads
    assert len(outputs) == len(output_names(name))
    for output in outputs:
        assert 0.4 < output.std() < 2
        assert output.std(dim=0).mean() > 0.1 * output.std()

    cuts = {f"{layer}.weight" for layer in choose_cuts(model, Cut(0.8))}
    for parameter, value in model.named_parameters():
        zeros = float((value == 0).float().mean())
        assert zeros == (pytest.approx(0.8, abs=0.02) if parameter in cuts else 0), parameter


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "mobilenet_v2"])
@pytest.mark.parametrize(("sparsity", "pattern"), [(0.0, "unstructured"), (0.9, "1x4")])
def test_activations_neither_vanish_nor_explode(name: str, sparsity: float, pattern: str) -> None:
    model = make_model(name, sparsity=sparsity, pattern=parse_pattern(pattern))
    spreads = {}

    def watch(block: str) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            spreads[block] = float(output.std())

        model.get_submodule(block).register_forward_hook(hook)

    for block, module in model.named_modules():
        if isinstance(module, BasicBlock | Bottleneck | InvertedResidual):
            watch(block)
    (logits,) = run(model, example_inputs(name, batch=2, seed=99))
    assert len(spreads) >= 9
    assert all(0.1 < spread < 10 for spread in spreads.values()), spreads
    assert 0.5 < logits.std() < 2
    assert not torch.allclose(logits[0], logits[1], atol=0.01)


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet_v2", "regnet", "yolov8n", "vit_tiny"])
def test_rounding_errors_do_not_grow(name: str) -> None:
    """Noise of a hundredth in every layer, about what int8 makes, stays below a fifth at the end."""
    model = make_model(name, sparsity=0.8, size=64)
    inputs = example_inputs(name, batch=4, size=64, seed=99)
    exact = run(model, inputs)
    generator = torch.Generator().manual_seed(0)

    def disturb(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        spread = output.std((0, 2, 3), keepdim=True) if output.ndim == 4 else output.std()
        return output + 0.01 * spread * torch.randn(output.shape, generator=generator)

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(disturb)
    for output, disturbed in zip(exact, run(model, inputs), strict=True):
        assert (disturbed - output).std() < 0.2 * output.std()


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2"])
@pytest.mark.parametrize(("pattern", "sparsity"), [("unstructured", 0.9), ("1x4", 0.9), ("2:4", 0.5)])
def test_layers_are_cut_as_asked(name: str, pattern: str, sparsity: float) -> None:
    model = make_model(name, sparsity=sparsity, pattern=parse_pattern(pattern))
    weights = {
        layer: module.weight.detach().numpy()
        for layer, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    first = next(iter(weights))
    for layer, weight in weights.items():
        found = find_pattern(weight)
        if layer == first or weight.shape[1] == 1:
            assert found.sparsity == 0, layer
        else:
            assert found.pattern == parse_pattern(pattern), layer
            assert found.sparsity == pytest.approx(sparsity, abs=0.01), layer


@pytest.mark.parametrize("name", ["bert_mini", "ds_cnn", "shufflenet_v2", "yolov8n"])
def test_the_graph_computes_what_the_model_does(name: str) -> None:
    size, batch = small(name), 2
    model = make_model(name, sparsity=0.8, size=size, seed=3)
    graph = small_graph(name, batch)
    inputs = example_inputs(name, batch=batch, size=size, seed=5)
    assert [value.name for value in graph.graph.inputs] == list(inputs)
    results = evaluate(graph, {key: tensor.numpy() for key, tensor in inputs.items()})
    assert tuple(results) == output_names(name)
    for (key, result), expected in zip(results.items(), run(model, inputs), strict=True):
        np.testing.assert_allclose(result, expected.numpy(), rtol=0, atol=1e-4, err_msg=key)


def test_the_graph_of_a_text_model_is_simple() -> None:
    operators = Counter(node.op_type for node in small_graph("bert_mini", 2).graph)
    assert operators["Gather"] == 3, "two embeddings and the first token"
    assert operators["LayerNormalization"] == 9
    assert operators["Softmax"] == operators["Gelu"] == 4
    assert operators["MatMul"] == 4 * 8
    assert not {"GatherND", "Where", "And", "Range", "Shape", "ScatterND"} & set(operators)


def test_the_seed_decides_everything_and_leaves_torch_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (make_model("resnet20", sparsity=0.5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_no_such_network() -> None:
    with pytest.raises(ModelError, match="lenet: no such network"):
        make_model("lenet")


def test_impossible_sparsity() -> None:
    with pytest.raises(PatternError, match="outside"):
        make_model("resnet20", sparsity=1.5, pattern=Unstructured())


@pytest.mark.parametrize("sparsity", [-0.1, float("nan")])
def test_a_sparsity_that_is_none_leaves_no_dense_network(sparsity: float) -> None:
    with pytest.raises(PatternError, match="sparsity"):
        make_model("resnet20", sparsity=sparsity)
