import numpy as np
import pytest
import torch
from torch import nn

from openwork.errors import ModelError
from openwork.frontends.torch import from_torch
from openwork.graph import constant, count, evaluate
from openwork.passes import canonicalise
from tests.graphs import operators, to_bytes


class Block(nn.Module):
    """What ResNet and MobileNetV2 are made of, once each."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 5)
        self.norm3 = nn.BatchNorm1d(5)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        x = x + nn.functional.relu6(self.norm2(self.depthwise(x)))
        x = nn.functional.adaptive_avg_pool2d(self.pool(x), 1)
        return self.norm3(self.fc(self.dropout(torch.flatten(x, 1))))


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    module = Block()
    for _ in range(3):  # BatchNormalization with statistics of its own
        module(torch.randn(8, 3, 8, 8) * 2 + 1)
    return module


@pytest.fixture(scope="module")
def model(module):
    return from_torch(module, [torch.zeros(1, 3, 8, 8)], output_names=["y"])


def test_parameter_names_and_batch_norm_are_kept(module, model):
    trained = {name for name, _ in module.named_parameters()}
    assert trained <= set(model.graph.initializers)
    assert operators(model).count("BatchNormalization") == 3


def test_layers_are_called_as_their_modules(model):
    names = {node.name for node in model.graph if node.op_type in ("Conv", "Gemm", "BatchNormalization")}
    assert names == {"conv", "norm", "depthwise", "norm2", "fc", "norm3"}


def test_nothing_of_this_machine_is_in_the_model(model):
    content = to_bytes(model)
    for trace in (b".py", b"pkg.torch", b"site-packages"):
        assert trace not in content


def test_the_module_is_left_as_it_was_and_shares_no_memory(module):
    exported = from_torch(module, [torch.zeros(1, 3, 8, 8)])
    assert module.training and module.norm.training
    before = constant(exported.graph.initializers["fc.weight"]).copy()
    with torch.no_grad():
        module.fc.weight += 1
    np.testing.assert_array_equal(constant(exported.graph.initializers["fc.weight"]), before)
    with torch.no_grad():
        module.fc.weight -= 1


def test_canonical_form(module, model):
    model = model.clone()
    canonicalise(model)
    assert operators(model) == [
        *("Conv", "Relu", "Conv", "Clip", "Add", "MaxPool", "ReduceMean", "Reshape", "Gemm"),
    ]
    names = {"conv.weight", "conv.bias", "depthwise.weight", "depthwise.bias", "fc.weight", "fc.bias"}
    assert names <= set(model.graph.initializers)
    assert [layer.macs for layer in count(model)] == [8 * 27 * 64, 8 * 9 * 64, 40]

    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    module.train()
    np.testing.assert_allclose(evaluate(model, {"x": x.numpy()})["y"], expected, rtol=1e-4, atol=1e-5)


def test_symbolic_batch(module):
    model = from_torch(module, [torch.zeros(1, 3, 8, 8)], output_names=["y"], symbolic_batch=True)
    canonicalise(model, batch=4)
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    module.train()
    np.testing.assert_allclose(evaluate(model, {"x": x.numpy()})["y"], expected, rtol=1e-4, atol=1e-5)


def test_quantized_by_torch():
    """PT2E's operators become QuantizeLinear/DequantizeLinear and pass the pipeline with their integers."""
    import torch.ao.quantization.fx._decomposed  # registers the operators

    quantized = torch.ops.quantized_decomposed

    class Quantized(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.randint(-127, 128, (4, 3, 3, 3), dtype=torch.int8))
            self.register_buffer("scale", torch.rand(4) * 0.01 + 0.001)
            self.register_buffer("zero", torch.zeros(4, dtype=torch.int64))
            self.bias = nn.Parameter(torch.randn(4))

        def forward(self, x):
            x = quantized.quantize_per_tensor(x, 0.03, 128, 0, 255, torch.uint8)
            x = quantized.dequantize_per_tensor(x, 0.03, 128, 0, 255, torch.uint8)
            channels = (self.scale, self.zero, 0, -128, 127, torch.int8)
            weight = quantized.dequantize_per_channel(self.weight, *channels)
            x = torch.relu(nn.functional.conv2d(x, weight, self.bias))
            x = quantized.quantize_per_tensor(x, 0.02, 0, 0, 255, torch.uint8)
            return quantized.dequantize_per_tensor(x, 0.02, 0, 0, 255, torch.uint8)

    module, x = Quantized(), torch.randn(1, 3, 6, 6)
    model = from_torch(module, [x], output_names=["y"])
    canonicalise(model)
    assert operators(model) == [
        *("QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "Relu"),
        *("QuantizeLinear", "DequantizeLinear"),
    ]
    np.testing.assert_array_equal(constant(model.graph.initializers["weight"]), module.weight.numpy())
    result = evaluate(model, {"x": x.numpy()})["y"]
    assert np.mean(np.abs(result - module(x).detach().numpy()) > 1e-6) < 0.01


def test_a_weight_that_is_no_number():
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match="Linear: tensor 'weight' has 1 of 4"):
        from_torch(module, [torch.zeros(1, 2)])


def test_a_module_torch_cannot_export(capfd):
    class Branching(nn.Module):
        def forward(self, x):
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(ModelError, match="Branching: torch cannot export it") as caught:
        from_torch(Branching(), [torch.zeros(1, 2)])
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().out == ""
