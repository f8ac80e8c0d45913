"""Networks of torchvision with random weights, as both of PyTorch's exporters write them, and the logits of ONNX Runtime beside each.

    python torchvision_networks.py FOLDER [NAME,NAME...] [12,17,new]
"""
import os
import sys
import warnings

import torch
import torchvision

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../hubel/tests/onnx"))
from waves import answer  # noqa: E402

warnings.filterwarnings("ignore")
NAMES = ("alexnet,vgg11_bn,resnet18,resnet50,resnext50_32x4d,densenet121,googlenet,inception_v3,squeezenet1_1,mobilenet_v2,shufflenet_v2_x1_0,"
         "mobilenet_v3_small,mobilenet_v3_large,efficientnet_b0,regnet_y_400mf,regnet_x_400mf,convnext_tiny")
FOLDER = sys.argv[1]
names = (sys.argv[2] if len(sys.argv) > 2 else NAMES).split(",")
exporters = (sys.argv[3] if len(sys.argv) > 3 else "12,17,new").split(",")
os.makedirs(FOLDER, exist_ok=True)
for name in names:
    torch.manual_seed(1)
    settings = dict(aux_logits=False, init_weights=True, transform_input=False) if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models, name)(weights=None, **settings)
    for module in model.modules():
        # Running statistics and layer scales that are not their initial ones.
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, torchvision.models.convnext.CNBlock):
            torch.nn.init.normal_(module.layer_scale, 0, 0.5)
    model.eval()
    side = 299 if name == "inception_v3" else 224
    example = torch.zeros(2, 3, side, side)
    for exporter in exporters:
        path = os.path.join(FOLDER, f"{name}-{exporter}.onnx")
        if exporter == "new":
            torch.onnx.export(model, (example,), path, dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=True, verbose=False)
        else:
            torch.onnx.export(model, (example,), path, dynamo=False, opset_version=int(exporter), input_names=["input"], dynamic_axes={"input": {0: "batch"}})
        answer(path, 16)
        print(path, flush=True)
