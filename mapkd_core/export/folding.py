"""Constants of an exported graph, computed once at export.

What a decoder does before it reads an image is the same for every image. The exporter leaves larger parts of it in the
graph; there each run computes them again, and OpenVINO refuses a graph in eight bits in which two constants are added.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def fold_constants(model: ModelProto) -> int:
    """Puts a constant in the place of every node that reads constants alone; returns how many nodes went."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    kept = []
    for node in graph.node:  # in an order in which every value comes before its use
        constant = node.input and all(name in constants for name in node.input if name)
        if constant and not outputs.intersection(node.output):
            constants.update(_computed(node, constants, model))
        else:
            kept.append(node)
    gone = len(graph.node) - len(kept)
    read = outputs.union(*(node.input for node in kept))
    for field, values in ((graph.node, kept), (graph.initializer, [t for n, t in constants.items() if n in read])):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    return gone


def _computed(node: NodeProto, constants: dict[str, TensorProto], model: ModelProto) -> dict[str, TensorProto]:
    """A node's outputs by name."""
    from onnx import TypeProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    names = [name for name in node.output if name]
    ends = [helper.make_value_info(name, TypeProto()) for name in names]
    given = [constants[name] for name in dict.fromkeys(node.input) if name]
    single = helper.make_model(helper.make_graph([node], "constant", [], ends, given), opset_imports=model.opset_import)
    found = ReferenceEvaluator(single).run(None, {})
    return {name: numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, found, strict=True)}
