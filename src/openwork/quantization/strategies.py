"""Strategies by name: how activations and weights become integers, and how those round.

    int8           activations uint8, asymmetric; weights int8 per channel; the default
    minmax         activations int8, asymmetric: q = (x - min) * 255 / (max - min) - 128, zero made exact
    symmetry_max   scale = 2 max|x| / 255, int8
    scale_shift    the smallest power of two with 127 * scale >= max|x|, int8; rounds by shifts
    fx8, fx16      signed fixed point of 8 and of 16 bits, activations and weights; rounds by shifts
    mixed          fx8, and fx16 in the layers that suffer most from fx8
    null           nothing is quantized

Weights are always symmetric: zeros stay zeros. The suffix `_t` asks for true integers: the same graph, run by the
interpreter or a compiled library instead of onnxruntime.

Sources: minmax, symmetry_max, scale_shift, null: Moffett's frontend compiler; fx8, fx16: Ambarella's CVflow tools.
Differs: symmetry_max clips at +-127.499 scale before rounding, so at +-127. Weights here do too; for activations ONNX's
QuantizeLinear has one integer more, -128, which values at or below -127.5 scale take: they come out nearer. scale_shift
is not capped at the shift of 1 that saturates what exceeds 254 there.
"""

from dataclasses import dataclass, replace
from typing import Literal

from openwork.errors import CalibrationError
from openwork.graph import Rounding

# How a range becomes a scale; n is the number of bits.
# affine: (high - low) / (2^n - 1), with a zero point. largest: max|x| / (2^(n-1) - 1). span: 2 max|x| / (2^n - 1).
# power_of_two: the smallest power of two with (2^(n-1) - 1) * scale >= max|x|.
ScaleRule = Literal["affine", "largest", "span", "power_of_two"]

Granularity = Literal["perlayer", "perchannel"]


@dataclass(frozen=True)
class Scheme:
    """How reals become integers.

    bits: 4, 8 or 16. signed: whether integers run from -2^(bits-1) or from 0.
    per_channel: one scale for each output channel of a weight.
    headroom: how many of the bits a symmetric scale leaves unused.
    """

    bits: int
    scale: ScaleRule
    signed: bool = True
    per_channel: bool = False
    headroom: int = 0

    @property
    def highest(self) -> int:
        """The largest integer of a symmetric scale."""
        return (1 << (self.bits - 1 - self.headroom)) - 1


@dataclass(frozen=True)
class Strategy:
    """One way to quantize a network.

    name: without suffix. activations, weights: None where nothing is quantized.
    true_integers: whether the result is to be run in integers (`lower`, `interpreter.run`), not in onnxruntime.
    wide: names of the layers that compute in 16 bits; None as long as `decided` has not chosen them.
    """

    name: str
    activations: Scheme | None
    weights: Scheme | None
    rounding: Rounding = "float32"
    true_integers: bool = False
    wide: frozenset[str] | None = frozenset()

    @property
    def activation_bits(self) -> int:
        """Of a tensor that no layer of 16 bits touches; 32 where nothing is quantized."""
        return 32 if self.activations is None else self.activations.bits

    def activation_scheme(self, *, wide: bool) -> Scheme:
        """Of a tensor; `wide` if a layer of 16 bits reads or writes it."""
        assert self.activations is not None
        return replace(self.activations, bits=16) if wide else self.activations

    def weight_scheme(self, layer: str) -> Scheme:
        """Of the weight of a layer."""
        assert self.weights is not None and self.wide is not None
        return replace(self.weights, bits=16) if layer in self.wide else self.weights


def _fixed_point(name: str, bits: int) -> Strategy:
    return Strategy(name, Scheme(bits, "power_of_two"), Scheme(bits, "power_of_two"), "shift")


INT8 = Strategy("int8", Scheme(8, "affine", signed=False), Scheme(8, "largest", per_channel=True))

_STRATEGIES = {
    known.name: known
    for known in (
        INT8,
        Strategy("minmax", Scheme(8, "affine"), Scheme(8, "largest")),
        Strategy("symmetry_max", Scheme(8, "span"), Scheme(8, "span")),
        _fixed_point("scale_shift", 8),
        _fixed_point("fx8", 8),
        _fixed_point("fx16", 16),
        replace(_fixed_point("mixed", 8), wide=None),
        Strategy("null", None, None),
    )
}

# The names `strategy` takes, each also with `_t` behind it.
STRATEGIES = tuple(_STRATEGIES)


def strategy(
    name: str,
    weights: Granularity | None = None,
    *,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
) -> Strategy:
    """A strategy by its name.

    Args:
        name: one of `STRATEGIES`, with or without `_t`.
        weights: one scale per layer or per channel; if None per layer, but per channel for `int8`.
        weight_bits: 4, 8 or 16; if None as the name has it.
        activation_bits: 8 or 16; if None as the name has it. uint8 becomes int16, symmetric.
    Raises: CalibrationError: no such strategy, or it does not take these bits.
    """
    known = _STRATEGIES.get(name.removesuffix("_t"))
    if known is None:
        raise CalibrationError(
            f"strategy {name!r}: does not exist; choose from {', '.join(STRATEGIES)}, or one with _t"
        )
    chosen = replace(known, true_integers=name.endswith("_t"))
    if chosen.activations is None or chosen.weights is None:
        return chosen
    if chosen.wide is None and (weight_bits or activation_bits):
        raise CalibrationError(f"strategy {name!r}: chooses the bits of each layer itself; leave the bits out")
    per_channel = chosen.weights.per_channel if weights is None else weights == "perchannel"
    return replace(
        chosen,
        weights=replace(chosen.weights, per_channel=per_channel, bits=_bits(weight_bits, chosen.weights, (4, 8, 16))),
        activations=_activations(chosen.activations, _bits(activation_bits, chosen.activations, (8, 16))),
    )


def for_onnxruntime_x86(strategy: Strategy) -> Strategy:
    """The same with weights of 7 bits, from -63 to 63.

    onnxruntime's kernels for x86 without VNNI add two products of an activation and a weight in 16 bits, which
    saturate: 2 * 255 * 127 is more than 32,767. 2 * 255 * 63 is not.

    Raises: CalibrationError: weights or activations have other than 8 bits, which those kernels do not take.
    """
    if strategy.weights is None or strategy.activations is None:
        return strategy
    if (strategy.weights.bits, strategy.activations.bits, strategy.wide) != (8, 8, frozenset()):
        raise CalibrationError(
            f"strategy {strategy.name!r}: onnxruntime's kernels for x86 take integers of 8 bits; choose one of 8 bits"
        )
    return replace(strategy, weights=replace(strategy.weights, headroom=1))


def _bits(given: int | None, scheme: Scheme, possible: tuple[int, ...]) -> int:
    bits = scheme.bits if given is None else given
    if bits not in possible:
        raise CalibrationError(f"{bits} bits: not possible here; give one of {', '.join(map(str, possible))}")
    return bits


def _activations(scheme: Scheme, bits: int) -> Scheme:
    return Scheme(16, "largest") if bits == 16 and not scheme.signed else replace(scheme, bits=bits)
