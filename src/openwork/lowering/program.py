"""The one lowered form that every backend eats.

A `Program` is typed buffers, constants and a flat list of typed steps. It says *what* is computed. Layouts,
tiles, offsets and schedules belong to each backend. The steps stand in `steps/`, each with its meaning, which
`interpreter.run` computes: backends agree with it bit for bit on integers and within a stated tolerance on floats.

Shapes and layouts are ONNX's: activations [N, C, spatial...], convolution weights [out, in/groups, kernel...],
fully connected weights [out, in]. Every name is a buffer or a constant; names are the tensor names of the ONNX
graph, so that each buffer can be compared with the tensor onnxruntime computes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Buffer
from openwork.lowering.steps import Step


@dataclass(frozen=True, eq=False)
class Program:
    """A network, lowered: what is computed, in order.

    inputs, outputs: buffer names in the order of the model's own.
    buffers: every activation, inputs and outputs included; each written by one step, except inputs.
    constants: weights and biases, C-contiguous, read-only.
    steps: in an order in which every buffer is written before it is read.
    notes: one line for each quantized layer that computes in float nevertheless, and why; and for floats of other
        types, which are float32 here.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: Mapping[str, Buffer]
    constants: Mapping[str, NDArray[np.generic]]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def check(self) -> None:
        """Assert the invariants above; a violation is a bug in lowering, never in the user's model."""
        written = set(self.inputs)
        for step in self.steps:
            for name in step.reads:
                assert name in written or name in self.constants, f"{step.name}: reads {name!r} too early"
            assert step.output in self.buffers, f"{step.name}: output {step.output!r} has no buffer"
            assert step.output not in written, f"{step.name}: {step.output!r} is written twice"
            written.add(step.output)
            for field in fields(step):
                if (
                    hasattr(step, "weight")
                    and field.name in ("weight", "bias")
                    and getattr(step, field.name) is not None
                ):
                    assert getattr(step, field.name) in self.constants, f"{step.name}: no constant {field.name}"
        assert set(self.outputs) <= written, "an output is never written"
