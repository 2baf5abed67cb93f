"""Operators of other domains that are called like standard ones are left alone, whatever they look like."""

import onnx_ir as ir
import pytest
from onnx import defs

from openwork.errors import UnsupportedError
from openwork.lowering import lower
from openwork.passes import REWRITTEN, canonicalise
from openwork.passes.contradictions import _RULES as CHECKED
from openwork.passes.transposes.layouts import _RULES as CARRIED
from tests.graphs import graph

OTHERS = {"Add", "Cast", "Gemm", "Identity", "MatMul", "Pad", "Transpose"}
MATCHED = sorted(name for name in {*REWRITTEN, *CHECKED, *CARRIED, *OTHERS} if "::" not in name)


def test_all_of_them_are_standard():
    assert {*MATCHED} <= {each.name for each in defs.get_all_schemas() if not each.domain}


@pytest.mark.parametrize("name", MATCHED)
@pytest.mark.parametrize("inputs", ["x", "t, x, x, x, x, x"])
def test_a_namesake_is_left_alone(name, inputs):
    body = f"t = Transpose<perm=[0,2,3,1]>(x) y = Odd({inputs}) z = Transpose<perm=[0,3,1,2]>(y)"
    model = graph(f"(float[1,2,3,4] x) => (float[A,B,C,D] z) {{ {body} }}")
    (odd,) = (node for node in model.graph if node.op_type == "Odd")
    odd.op_type, odd.domain = name, "my.domain"
    odd.attributes.add(ir.AttrInt64s("perm", [7, 9]))
    odd.outputs[0].type, odd.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([1, 3, 4, 2])
    canonicalise(model)
    assert [node.op_type for node in model.graph if node.domain == "my.domain"] == [name]
    with pytest.raises(UnsupportedError, match=f"my.domain::{name}"):
        lower(model)
