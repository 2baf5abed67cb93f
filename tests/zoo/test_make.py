import pytest
import torch
from torch import Tensor, nn

from openwork.errors import ModelError, PatternError
from openwork.sparsity import Unstructured, find_pattern, parse_pattern
from openwork.zoo import input_shape, make_model, zoo_names
from openwork.zoo.mobilenet import InvertedResidual
from openwork.zoo.resnet import BasicBlock, Bottleneck

NAMES = ["resnet20", "resnet50", "mobilenet_v2"]


def test_names_and_shapes() -> None:
    assert list(zoo_names()) == NAMES
    assert input_shape("resnet20") == (1, 1, 16, 16)
    assert input_shape("resnet50") == input_shape("mobilenet_v2") == (1, 3, 224, 224)
    with pytest.raises(ModelError, match="resnet18: no such network"):
        make_model("resnet18")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("sparsity", "pattern"), [(0.0, "unstructured"), (0.9, "1x4")])
def test_activations_neither_vanish_nor_explode(name: str, sparsity: float, pattern: str) -> None:
    model = make_model(name, sparsity=sparsity, pattern=parse_pattern(pattern))
    assert not model.training
    spreads = {}

    def watch(block: str) -> None:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            spreads[block] = float(output.std())

        model.get_submodule(block).register_forward_hook(hook)

    for block, module in model.named_modules():
        if isinstance(module, BasicBlock | Bottleneck | InvertedResidual):
            watch(block)
    images = torch.randn(2, *input_shape(name)[1:], generator=torch.Generator().manual_seed(99))
    with torch.no_grad():
        logits = model(images)
    assert len(spreads) >= 9
    assert all(0.1 < spread < 10 for spread in spreads.values()), spreads
    assert 0.5 < logits.std() < 2
    assert not torch.allclose(logits[0], logits[1], atol=0.01)


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


def test_the_seed_decides_everything_and_leaves_torch_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (make_model("resnet20", sparsity=0.5, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


def test_impossible_sparsity() -> None:
    with pytest.raises(PatternError, match="outside"):
        make_model("resnet20", sparsity=1.5, pattern=Unstructured())


@pytest.mark.parametrize("sparsity", [-0.1, float("nan")])
def test_a_sparsity_that_is_none_leaves_no_dense_network(sparsity: float) -> None:
    with pytest.raises(PatternError, match="sparsity"):
        make_model("resnet20", sparsity=sparsity)
