"""Writes explanations.safetensors beside this file, for explanations.rs: what captum, grad-cam and PyTorch say of three small networks.

    python make_explanations.py      (torch 2.15.0, captum 0.9.0, grad-cam 1.5.7, safetensors 0.8.0)

All of it is computed in float64 from float32 weights and pictures. Where two libraries compute one thing, this script checks that they agree.
A hook on a ReLU module that stands at several places sees all of them: grad-cam then takes the map of the first. So Grad-CAM of the network
with such a ReLU comes from PyTorch's autograd. Maps are stored as [h, w] or [h, w, c].
"""
import json
import pathlib

import torch
import torch.nn as nn
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion, Saliency
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import save_file

FILE = pathlib.Path(__file__).parent / "explanations.safetensors"
CLASS = 2
STEPS, INTEGRATED_BASELINE = 64, -0.25
WINDOW, STRIDE, OCCLUSION_BASELINE = (3, 4), (2, 3), 0.5


class Residual(nn.Module):
    """Two additions, and one ReLU module at three places."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        body = lambda: nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.one = nn.ModuleDict({"body": body()})
        self.two = nn.ModuleDict({"body": body()})
        self.relu = nn.ReLU()
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.relu(self.stem(x))
        x = self.relu(x + self.one["body"](x))
        x = self.relu(x + self.two["body"](x))
        self.last = x
        return self.fc(x.mean((2, 3)))


NETWORKS = {
    "plain": (
        "conv(5, kernel=3)-relu-pool-conv(6, kernel=3, padding=1)-relu-flatten-fc(4)",
        lambda: nn.Sequential(
            nn.Conv2d(1, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 30, 4)
        ),
        (14, 12, 1),
        lambda network: network[4],
        "4",
    ),
    "global": (
        "conv(6, kernel=5, stride=2, padding=2, round=floor)-batchnorm-gelu-conv(8, kernel=3, groups=2)-tanh-globalavgpool-flatten-fc(4)",
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2, padding=2),
            nn.BatchNorm2d(6),
            nn.GELU(),
            nn.Conv2d(6, 8, 3, groups=2),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        ),
        (13, 15, 3),
        lambda network: network[4],
        "4",
    ),
    "residual": (
        "stem:conv(6, padding=1)-relu-one:residual[conv(6, padding=1)-batchnorm]-relu"
        "-two:residual[conv(6, padding=1)-batchnorm]-last:relu-globalavgpool-fc:fc(4)",
        Residual,
        (9, 8, 3),
        None,
        "last",
    ),
}


def grad_cam_by_autograd(network, image):
    """Grad-CAM on the last map of the residual network."""
    score = network(image)[0, CLASS]
    (gradient,) = torch.autograd.grad(score, network.last)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * network.last).sum(1).relu()


def largest(values):
    return values.abs().max().item()


def agree(one, other):
    assert largest(one - other) <= 1e-9 * largest(one), largest(one - other)


def in_float32(network):
    """The network in float64 with weights and statistics that float32 holds, of which none is as PyTorch begins."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                if "running_var" in name:
                    tensor.uniform_(0.5, 1.5)
                elif tensor.dim() == 1:
                    tensor.normal_(0.5 if "weight" in name else 0.0, 0.3)
                tensor.copy_(tensor.float())
    return network.double().eval()


def explain(network, shape, layer):
    height, width, channels = shape
    image = torch.randn(1, channels, height, width).float().double().requires_grad_()
    score = network(image)[0, CLASS]
    (gradient,) = torch.autograd.grad(score, image)
    agree(gradient, Saliency(network).attribute(image, target=CLASS, abs=False))
    if layer:
        cam = LayerGradCam(network, layer(network)).attribute(image, target=CLASS, relu_attributions=True)[0]
        with GradCAM(model=network, target_layers=[layer(network)]) as other:
            other(input_tensor=image, targets=[ClassifierOutputTarget(CLASS)])
            gradients = other.activations_and_grads.gradients[0].numpy()
            maps = other.activations_and_grads.activations[0].numpy()
            raw = other.get_cam_image(image, layer(network), None, maps, gradients)
        agree(cam, torch.tensor(raw).relu())
    else:
        cam = grad_cam_by_autograd(network, image)
    integrated = IntegratedGradients(network).attribute(
        image, baselines=INTEGRATED_BASELINE, target=CLASS, n_steps=STEPS, method="gausslegendre"
    )
    occlusion = Occlusion(network).attribute(
        image, (channels, *WINDOW), strides=(channels, *STRIDE), baselines=OCCLUSION_BASELINE, target=CLASS
    )
    in_place = lambda map: map[0].permute(1, 2, 0)
    return {
        "image": in_place(image),
        "gradient": in_place(gradient),
        "grad_cam": cam[0],
        "integrated": in_place(integrated),
        # Each channel holds what covering all of them changes.
        "occlusion": occlusion[0, 0],
    }


def main():
    torch.manual_seed(1)
    tensors, cases = {}, []
    for name, (text, make, shape, layer, layer_name) in NETWORKS.items():
        network = in_float32(make())
        found = explain(network, shape, layer)
        for key, value in found.items():
            tensors[f"{name}.{key}"] = value
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                tensors[f"{name}/{key}"] = value
        cases.append({"name": name, "text": text, "input": shape, "layer": layer_name})
    tensors = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    description = {
        "cases": cases,
        "class": CLASS,
        "steps": STEPS,
        "integrated_baseline": INTEGRATED_BASELINE,
        "window": WINDOW,
        "stride": STRIDE,
        "occlusion_baseline": OCCLUSION_BASELINE,
    }
    save_file(tensors, FILE, {"hubel": json.dumps(description)})


main()
