"""A TopK whose order is free sorts."""

import onnx_ir as ir


def sort_top_k(model: ir.Model) -> bool:
    """Let each TopK sort, as openwork does: with `sorted` = 0 any order is right, and every runtime has its own.

    before: TopK(x, k, sorted=0)
    after:  TopK(x, k)
    """
    free = [node for node in model.graph if node.op_type == "TopK" and not node.attributes.get_int("sorted", 1)]
    for node in free:
        del node.attributes["sorted"]
    return bool(free)
