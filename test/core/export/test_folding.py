"""Constants of a graph are computed at export: what is left gives the same, and nothing else goes."""
import numpy as np
import pytest

from mapkd_core.export.folding import fold_constants

onnx = pytest.importorskip("onnx", reason="ONNX export needs: pip install '.[export]'")


def graph():
    """`out` = images * ((a + b)'s second half) + a; `both` is an output that is constant itself."""
    helper, tensors = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Split", ["sum"], ["first", "second"], axis=0, num_outputs=2),
        helper.make_node("Mul", ["images", "second"], ["product"]),
        helper.make_node("Clip", ["a", "", "b"], ["low"]),
        helper.make_node("Add", ["product", "second"], ["out"]),
        helper.make_node("Mul", ["low", "low"], ["both"]),
    ]
    a, b = np.arange(4, dtype=np.float32), np.array([2.0], np.float32)
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [s]) for n, s in (("out", 2), ("both", 4))]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, [2])
    made = helper.make_graph(nodes, "g", [images], ends, [tensors(a, "a"), tensors(b[0], "b")])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])


def test_what_reads_constants_alone_becomes_one():
    from onnx.reference import ReferenceEvaluator

    model, given = graph(), {"images": np.array([3.0, 5.0], np.float32)}
    expected = ReferenceEvaluator(model).run(None, given)
    assert fold_constants(model) == 3
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Mul", "Add", "Mul"], "an output stays a node's"
    assert {tensor.name for tensor in model.graph.initializer} == {"second", "low"}, "what nothing reads goes"
    found = ReferenceEvaluator(model).run(None, given)
    assert [value.tolist() for value in found] == [value.tolist() for value in expected]
    assert found[0].tolist() == [3 * 4 + 4, 5 * 5 + 5] and found[1].tolist() == [0, 1, 4, 4]
