"""Convolutional networks of timm with random weights, as PyTorch's older exporter writes them, and the logits of ONNX Runtime beside each.

    pip install timm
    python timm_networks.py FOLDER [NAME,NAME...]

A network that cannot be exported is left out.
"""
import os
import sys
import warnings

import timm
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../hubel/tests/onnx"))
from waves import answer  # noqa: E402

warnings.filterwarnings("ignore")
NAMES = """resnet18d resnet26t resnet50d resnext50_32x4d seresnet18 seresnext26d_32x4d resnetaa50 resnetblur50 resnetrs50 resnetv2_50 resnetv2_50d_gn resnet50_gn gernet_s
ecaresnet26t skresnet18 resnest14d res2net50_14w_8s gcresnet50t nf_resnet50 nf_regnet_b0 eca_nfnet_l0 regnetx_002 regnety_002 regnetz_005 densenet121 rdnet_tiny dpn48b dla34 repvgg_a0 mobileone_s0
vovnet39a ese_vovnet19b_dw ese_vovnet39b cspresnet50 cspdarknet53 darknet17 darknetaa53 cs3darknet_s hgnet_tiny hgnetv2_b0 selecsls42b tresnet_m inception_v3 xception41
mobilenetv2_100 mobilenetv3_small_050 mobilenetv3_large_100 mobilenetv4_conv_small mobilenet_edgetpu_v2_xs mnasnet_100 semnasnet_075 spnasnet_100 fbnetc_100 hardcorenas_a lcnet_050 tinynet_e mixnet_s rexnet_100
efficientnet_b0 efficientnet_lite0 efficientnet_es tf_efficientnet_b0 tf_efficientnet_lite0 tf_efficientnetv2_b0 ghostnet_100 ghostnetv2_100 repghostnet_050 repvit_m0_9 starnet_s1 fasternet_t0
convnext_atto convnext_atto_ols convnextv2_atto convmixer_768_32 inception_next_atto poolformer_s12 hrnet_w18_small""".split()
FOLDER = sys.argv[1]
os.makedirs(FOLDER, exist_ok=True)
for name in sys.argv[2].split(",") if len(sys.argv) > 2 else NAMES:
    torch.manual_seed(1)
    path = os.path.join(FOLDER, f"{name}.onnx")
    try:
        model = timm.create_model(name, pretrained=False).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.running_mean, 0, 0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.1)
        example = torch.zeros(2, *model.default_cfg["input_size"])
        torch.onnx.export(model, (example,), path, dynamo=False, opset_version=17, input_names=["image"], dynamic_axes={"image": {0: "n"}})
        answer(path)
        print(path, flush=True)
    except Exception as error:
        print(name, str(error).splitlines()[0], flush=True)
