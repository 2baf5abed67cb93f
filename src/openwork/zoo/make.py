"""Networks with random weights that behave like trained ones: for compiling, measuring and testing."""

import weakref
from collections.abc import Callable

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from openwork.compression import Cut, Schedule, Sparsifier, choose_cuts, recalibrate_batch_norm
from openwork.compression.cuts import cuttable_layers
from openwork.frontends.torch import from_torch
from openwork.passes import canonicalise
from openwork.sparsity import UNSTRUCTURED, Pattern
from openwork.zoo.networks import checked_size, example_inputs, find_network, output_names


def make_model(
    name: str,
    *,
    sparsity: float = 0.0,
    pattern: Pattern = UNSTRUCTURED,
    size: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> nn.Module:
    """A network with random weights, cut by magnitude, in evaluation mode.

    BatchNorm statistics are measured on random inputs after cutting (networks without any normalization are
    scaled to the like), and heads are scaled to a standard deviation of one, so that activations neither vanish
    nor explode.

    Args:
        sparsity: of every Conv2d and Linear but the first convolution and depthwise ones; 0 leaves all dense.
        size: of the input, as `example_inputs` takes it; some networks have other weights for another size.
        seed: of weights and inputs. The same seed gives the same network; torch's generator is left alone.
        progress: called with what is being done, when it begins.
    Returns: a module that takes the tensors of `example_inputs(name, size=size)` and returns one tensor, or a
        tuple of as many as `output_names(name)`.
    Raises: ModelError: no such network or size. PatternError: sparsity is outside [0, 1).
    """
    network, size = find_network(name), checked_size(name, size)
    inputs = tuple(example_inputs(name, batch=network.inputs.calibration_batch(size), size=size, seed=seed).values())
    progress("drawing weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network.build(size).eval()
        _draw_weights(model)
    if sparsity != 0:
        progress("pruning")
        Sparsifier(model, choose_cuts(model, Cut(sparsity, pattern)), Schedule(begin=0, end=1)).step()
    progress("measuring statistics")
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        recalibrate_batch_norm(model, [*inputs])
    elif not any(isinstance(module, nn.LayerNorm) for module in model.modules()):
        _normalize_layers(model, inputs, torch.Generator().manual_seed(seed))
    progress("scaling heads")
    _scale_heads(model, inputs)
    return model


def make_graph(
    name: str,
    *,
    sparsity: float = 0.0,
    pattern: Pattern = UNSTRUCTURED,
    batch: int = 1,
    size: int | None = None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> ir.Model:
    """The canonical graph of `make_model`, whose arguments and errors these are.

    Inputs are called as in `example_inputs`, outputs as in `output_names`.
    """
    model = make_model(name, sparsity=sparsity, pattern=pattern, size=size, seed=seed, progress=progress)
    inputs = example_inputs(name, batch=batch, size=size)
    progress("exporting")
    graph = from_torch(model, [*inputs.values()], input_names=[*inputs], output_names=output_names(name))
    progress("optimizing")
    canonicalise(graph)
    return graph


@torch.no_grad()
def _draw_weights(model: nn.Module) -> None:
    """Layers keep the variance of what passes through; norms, biases and embeddings vary as trained ones do.

    BatchNorm shifts to the positive side: with most values past ReLU, deep networks do not blow rounding errors
    up, which untrained ones do and trained ones do not.

    Source: He et al. 2015, arXiv:1502.01852, equation 10; without its factor of two where no ReLU follows.
    """
    for module in model.modules():
        match module:
            case nn.Conv2d() | nn.ConvTranspose2d():
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                _draw_bias(module.bias)
            case nn.Linear():
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
                _draw_bias(module.bias)
            case _BatchNorm():
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, mean=0.5, std=0.5)
            case nn.LayerNorm():
                nn.init.uniform_(module.weight, 0.5, 1.5)
                _draw_bias(module.bias)
            case _:  # embeddings, positions, factors of whole layers
                for parameter in module.parameters(recurse=False):
                    nn.init.normal_(parameter, std=0.5)


def _draw_bias(bias: Tensor | None) -> None:
    if bias is not None:
        nn.init.normal_(bias, std=0.1)


@torch.no_grad()
def _normalize_layers(model: nn.Module, inputs: tuple[Tensor, ...], generator: torch.Generator) -> None:
    """Where nothing normalizes, let each layer give results as if a BatchNorm of `_draw_weights` followed it.

    Source: Krähenbühl et al. 2015, arXiv:1511.06856, section 3.1.
    """

    def normalize(layer: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> Tensor:
        assert isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None
        std, mean = torch.std_mean(result.transpose(0, 1).flatten(1), dim=1)
        scale = (0.5 + torch.rand(len(mean), generator=generator)) / std.clamp(min=1e-3)
        shift = torch.normal(0.5, 0.5, mean.shape, generator=generator)
        layer.weight *= scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
        layer.bias.copy_((layer.bias - mean) * scale + shift)
        return layer.forward(*args)

    hooks = [layer.register_forward_hook(normalize) for layer in cuttable_layers(model).values()]
    model(*inputs)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def _scale_heads(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give each output that comes straight out of a layer a standard deviation of one."""
    results: dict[nn.Module, weakref.ref[Tensor]] = {}

    def remember(layer: nn.Module, args: tuple[Tensor, ...], result: Tensor) -> None:
        results[layer] = weakref.ref(result)

    layers = cuttable_layers(model).values()
    hooks = [layer.register_forward_hook(remember) for layer in layers]
    result = model(*inputs)
    for hook in hooks:
        hook.remove()
    outputs: tuple[Tensor, ...] = result if isinstance(result, tuple) else (result,)
    for output in outputs:
        for layer in layers:
            if results[layer]() is output:
                for parameter in layer.parameters():
                    parameter.div_(output.std())
