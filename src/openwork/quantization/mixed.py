"""Which layers of a mixed strategy compute in 16 bits: those that 8 bits hurt most."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import Evaluator, constant, count
from openwork.quantization.calibration import CalibrationTable, Range
from openwork.quantization.integer_operators import Site
from openwork.quantization.plain_gemm import with_plain_gemms
from openwork.quantization.quantize import quantize
from openwork.quantization.sharing import shared
from openwork.quantization.strategies import Strategy

# Decibels: the noise of a layer of 8 bits is a good 5 % of its output.
LEAST_SQNR = 25.0

Batches = Iterable[Mapping[str, NDArray[np.generic]]]


def decided(
    strategy: Strategy,
    model: ir.Model,
    table: CalibrationTable | Mapping[str, Range],
    batches: Batches,
    *,
    least_sqnr: float = LEAST_SQNR,
    narrow_share: float | None = None,
) -> Strategy:
    """A strategy with its layers of 16 bits chosen; one that has nothing to choose comes back as it is.

    Args:
        model, table, batches: as for `calibrate` and `quantize`; a few batches do.
        least_sqnr: in dB; layers whose own quantization to 8 bits leaves less get 16.
        narrow_share: if given, instead: the worst layers get 16 bits as long as at least this share of all
            multiply-accumulates stays with 8.
    Raises: CalibrationError: no batch.
    """
    if strategy.wide is not None:
        return strategy
    sqnr = own_sqnr(model, table, replace(strategy, wide=frozenset()), batches)
    if narrow_share is None:
        return replace(strategy, wide=frozenset(name for name, value in sqnr.items() if value < least_sqnr))
    macs = {layer.name: layer.macs for layer in count(model) if layer.name in sqnr}
    return replace(strategy, wide=worst_layers(sqnr, macs, 1 - narrow_share))


def worst_layers(sqnr: Mapping[str, float], macs: Mapping[str, int], share: float) -> frozenset[str]:
    """The layers with the smallest SQNR that together do not exceed a share of all MACs; ties by name."""
    budget = share * sum(macs.values())
    chosen = []
    for name in sorted(sqnr, key=lambda name: (sqnr[name], name)):
        cost = macs.get(name, 0)
        if cost > budget:
            break
        budget -= cost
        chosen.append(name)
    return frozenset(chosen)


def own_sqnr(
    model: ir.Model, table: CalibrationTable | Mapping[str, Range], strategy: Strategy, batches: Batches
) -> dict[str, float]:
    """How much each layer's own quantization hurts, were all layers before it exact.

    Each layer with weights runs by itself, on float inputs, with its input, weight and output quantized.

    Returns: layer name -> signal to noise ratio of its output over all batches, in dB: 10 log10(signal / noise);
        infinite without noise.
    Raises: CalibrationError: no batch.
    """
    known = table.ranges if isinstance(table, CalibrationTable) else table
    plain = with_plain_gemms(model)
    assert strategy.activations is not None
    sharing = shared(plain.graph, known, strategy.activations)
    ranges = {str(tensor.name): limits for group, limits in sharing.ranges.items() for tensor in group}
    layers = [site for site in sharing.sites if site.weighted]
    evaluators = [Evaluator(quantize(_alone(site, plain), ranges, strategy)) for site in layers]
    inputs = {value.name for value in model.graph.inputs}
    taps = {str(value.name): None for site in layers for value in (site.inputs[0], site.outputs[0])}
    floats = Evaluator(plain, [name for name in taps if name not in inputs], threads=2)
    signal, noise = np.zeros(len(layers)), np.zeros(len(layers))
    batch = None
    for batch in batches:
        tensors = {**batch, **floats.run(batch)}
        for index, (site, evaluator) in enumerate(zip(layers, evaluators, strict=True)):
            x, y = (str(value.name) for value in (site.inputs[0], site.outputs[0]))
            exact = tensors[y].astype(np.float64)
            signal[index] += np.square(exact).sum()
            noise[index] += np.square(evaluator.run({x: tensors[x]})[y].astype(np.float64) - exact).sum()
    if batch is None:
        raise CalibrationError("the calibration set is empty; give at least one batch")
    with np.errstate(divide="ignore", invalid="ignore"):
        decibels = np.where(noise > 0, 10 * np.log10(signal / noise), np.inf)
    return {str(site.node.name): float(value) for site, value in zip(layers, decibels, strict=True)}


def _alone(site: Site, model: ir.Model) -> ir.Model:
    """A model of nothing but a layer, with the Relu or Clip that becomes part of it."""
    nodes = [site.node]
    if site.outputs[0] is not site.node.outputs[0]:
        activation = site.outputs[0].producer()
        assert activation is not None
        nodes.append(activation)
    values = {site.inputs[0]: _copy(site.inputs[0])}
    constants = []
    copies = []
    for node in nodes:
        for value in node.inputs:
            if value is not None and value not in values:
                array = constant(value)
                assert array is not None, "all but the first input of a layer with weights is constant"
                values[value] = ir.val(str(value.name), const_value=ir.tensor(array, name=value.name))
                constants.append(values[value])
        output = values[node.outputs[0]] = _copy(node.outputs[0])
        inputs = [None if value is None else values[value] for value in node.inputs]
        copies.append(ir.Node("", node.op_type, inputs, node.attributes.values(), outputs=[output], name=node.name))
    graph = ir.Graph(
        [values[site.inputs[0]]],
        [values[site.outputs[0]]],
        nodes=copies,
        initializers=constants,
        opset_imports=model.opset_imports,
        name=str(site.node.name),
    )
    return ir.Model(graph, ir_version=model.ir_version)


def _copy(value: ir.Value) -> ir.Value:
    return ir.Value(name=value.name, shape=value.shape, type=value.type)
