"""The nine networks of the package onnx (backend/test/data/light), as they are and with random weights, and the logits of ONNX Runtime beside each.

    python light.py FOLDER
"""
import glob
import os
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../hubel/tests/onnx"))
from waves import answer  # noqa: E402

FOLDER = sys.argv[1]
RANDOM = np.random.default_rng(1)


def randomise(model):
    """Replaces each constant of weights, which a node makes of one number, by random numbers that keep the size of the values about equal."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kinds = {name: (node.op_type, place) for node in graph.node for place, name in enumerate(node.input)}
    for node in [node for node in graph.node if node.op_type == "ConstantOfShape"]:
        shape = [int(size) for size in constants[node.input[0]]]
        operator, place = kinds[node.output[0]]
        if operator == "BatchNormalization":
            values = RANDOM.uniform(0.5, 1.5, shape) if place in (1, 4) else RANDOM.normal(0, 0.2, shape)
        elif len(shape) > 1:
            values = RANDOM.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            values = RANDOM.normal(0, 0.1, shape)
        graph.node.remove(node)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))


def logits_last(model):
    """Makes what the last softmax reads the output, since hubel gives logits."""
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.output[0].name = last.input[0]
        model.graph.node.remove(last)


os.makedirs(FOLDER, exist_ok=True)
for path in sorted(glob.glob(os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/light/*.onnx"))):
    name = os.path.basename(path)[:-5]
    for kind in ("constant", "random"):
        model = onnx.load(path)
        if kind == "random":
            randomise(model)
        logits_last(model)
        file = os.path.join(FOLDER, f"{name}-{kind}.onnx")
        onnx.save(model, file)
        try:
            answer(file, 16)
        except Exception as error:
            print(name, kind, str(error)[:300])
            os.remove(file)
