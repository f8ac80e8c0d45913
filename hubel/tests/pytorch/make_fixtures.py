"""Writes the fixtures of ../pytorch.rs beside this file: what PyTorch computes, layer by layer and over 200 steps of training.

    python make_fixtures.py      (torch 2.15.0, safetensors 0.8.0)

PyTorch computes in float64 from float32 inputs and weights, and what comes out is rounded to float32 once; so a difference from it is
hubel's alone. Maps are stored as [n, h, w, c], weights as PyTorch has them. The metadata of each file says in JSON what it holds.
"""
import json
import pathlib

import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent
CLASSES = 5


def write(name, tensors, description):
    # The crate and the library write the tensors sorted; metadata of one entry has one order. So the file is the same each time.
    tensors = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    save_file(tensors, FOLDER / f"{name}.safetensors", {"hubel": json.dumps(description)})


# ---- Numbers that both sides can make, so that they need not be stored: a hash of a counter, 24 bits, exact in float32.


def noise(start, count):
    x = (numpy.arange(start, start + count, dtype=numpy.uint64) * 2654435761) % 2**32
    x ^= x >> 15
    x = (x * 2246822519) % 2**32
    x ^= x >> 13
    return (x >> 8).astype(numpy.float64) / 2**24


def in_float32(values):
    """Rounded to float32, in float64 again."""
    return torch.tensor(values.astype(numpy.float32).astype(numpy.float64))


# ---- Layers


class Padded(nn.Conv2d):
    """A convolution with sides of its own: top, bottom, left, right."""

    def __init__(self, *arguments, sides, mode="constant", value=0.0, **settings):
        super().__init__(*arguments, **settings)
        top, bottom, left, right = sides
        self.border = dict(pad=(left, right, top, bottom), mode=mode)
        if mode == "constant":
            self.border["value"] = value

    def forward(self, x):
        return super().forward(F.pad(x, **self.border))


class Residual(nn.Module):
    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return x + self.body(x)


class Concat(nn.ModuleList):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self], 1)


class Multiply(nn.Module):
    def __init__(self, map, factors):
        super().__init__()
        self.map, self.factors = nn.Sequential(*map), nn.Sequential(*factors)

    def forward(self, x):
        return self.map(x) * self.factors(x)


class Channels(nn.Module):
    def __init__(self, first, count):
        super().__init__()
        self.part = slice(first, first + count)

    def forward(self, x):
        return x[:, self.part]


class LayerNorm2d(nn.LayerNorm):
    def __init__(self, channels, epsilon):
        super().__init__(channels, eps=float(numpy.float32(epsilon)))

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Scale(nn.Module):
    """A factor and perhaps a summand for each channel."""

    def __init__(self, channels, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_parameter("bias", nn.Parameter(torch.zeros(channels)) if bias else None)

    def forward(self, x):
        y = x * self.weight[:, None, None]
        return y if self.bias is None else y + self.bias[:, None, None]


def convolutions():
    conv = nn.Conv2d
    return [
        ("conv(4)", conv(3, 4, 3), (7, 6, 3), 2),
        ("conv(5, kernel=1)", conv(3, 5, 1), (3, 4, 3), 2),
        ("conv(17, kernel=1, bias=false)", conv(16, 17, 1, bias=False), (2, 3, 16), 3),
        ("conv(4, padding=same)", conv(2, 4, 3, padding="same"), (5, 7, 2), 1),
        ("conv(3, kernel=(2,4), padding=same)", conv(2, 3, (2, 4), padding="same"), (5, 6, 2), 2),
        ("conv(4, kernel=(5,2), padding=(2,2,1,1))", conv(1, 4, (5, 2), padding=(2, 1)), (6, 5, 1), 2),
        ("conv(4, kernel=(7,6))", conv(2, 4, (7, 6)), (7, 6, 2), 2),
        ("conv(6, stride=2, padding=1, round=floor)", conv(3, 6, 3, stride=2, padding=1), (8, 7, 3), 2),
        ("conv(4, stride=(3,2), round=floor)", conv(2, 4, 3, stride=(3, 2)), (9, 8, 2), 2),
        ("conv(4, kernel=2, stride=3, round=floor)", conv(3, 4, 2, stride=3), (7, 9, 3), 2),
        ("conv(4, dilation=2, padding=2)", conv(2, 4, 3, dilation=2, padding=2), (6, 7, 2), 2),
        ("conv(3, kernel=(3,2), dilation=(1,3))", conv(2, 3, (3, 2), dilation=(1, 3)), (5, 7, 2), 1),
        (
            "conv(4, kernel=3, stride=2, dilation=2, padding=3, round=floor)",
            conv(2, 4, 3, stride=2, dilation=2, padding=3),
            (8, 9, 2),
            2,
        ),
        ("conv(6, groups=2, padding=1)", conv(4, 6, 3, groups=2, padding=1), (5, 4, 4), 2),
        ("conv(6, kernel=(1,3), groups=3, stride=(2,1))", conv(6, 6, (1, 3), groups=3, stride=(2, 1)), (5, 6, 6), 2),
        ("conv(5, groups=5, padding=1)", conv(5, 5, 3, groups=5, padding=1), (5, 6, 5), 2),
        ("conv(18, kernel=5, groups=18, padding=2, stride=2, round=floor)", conv(18, 18, 5, 2, 2, groups=18), (6, 7, 18), 1),
        ("conv(8, groups=4)", conv(4, 8, 3, groups=4), (5, 5, 4), 2),
        ("conv(3, padding=(1,0,0,2))", Padded(2, 3, 3, sides=(1, 0, 0, 2)), (5, 4, 2), 2),
        (
            "conv(3, padding=(0,3,1,0), stride=2, round=floor)",
            Padded(2, 3, 3, sides=(0, 3, 1, 0), stride=2),
            (6, 6, 2),
            2,
        ),
        ("conv(3, padding=2, mode=reflect)", conv(2, 3, 3, padding=2, padding_mode="reflect"), (4, 5, 2), 2),
        ("conv(3, padding=2, mode=replicate)", conv(2, 3, 3, padding=2, padding_mode="replicate"), (4, 5, 2), 2),
        ("conv(3, padding=2, mode=circular)", conv(2, 3, 3, padding=2, padding_mode="circular"), (4, 5, 2), 2),
        (
            "conv(3, padding=1, mode=constant(-1.5))",
            Padded(2, 3, 3, sides=(1, 1, 1, 1), value=-1.5),
            (4, 5, 2),
            2,
        ),
        (
            "conv(3, padding=(2,1,0,3), mode=reflect, stride=2, round=floor)",
            Padded(2, 3, 3, sides=(2, 1, 0, 3), mode="reflect", stride=2),
            (5, 6, 2),
            2,
        ),
        (
            "conv(4, padding=(0,2,3,1), mode=circular, groups=2)",
            Padded(2, 4, 3, sides=(0, 2, 3, 1), mode="circular", groups=2),
            (4, 5, 2),
            2,
        ),
        (
            "conv(4, kernel=2, padding=(1,0,2,0), mode=replicate, dilation=2)",
            Padded(2, 4, 2, sides=(1, 0, 2, 0), mode="replicate", dilation=2),
            (4, 5, 2),
            2,
        ),
        ("conv(4, padding=1)", conv(1, 4, 3, padding=1), (1, 1, 1), 1),
        ("conv(35, padding=1)", conv(33, 35, 3, padding=1), (3, 3, 33), 1),
    ]


def pools():
    """Inputs of a few levels, so that many windows have ties."""
    maximum, average, mean = nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d
    return [
        ("maxpool(2)", maximum(2), (6, 4, 3), 2),
        ("maxpool(2, round=floor)", maximum(2), (7, 5, 3), 2),
        ("maxpool(3, stride=2, padding=1, round=floor)", maximum(3, 2, 1), (7, 6, 2), 2),
        ("maxpool(3, stride=1)", maximum(3, 1), (5, 6, 2), 2),
        ("maxpool((3,2), stride=(1,3), padding=(1,1,0,0), round=floor)", maximum((3, 2), (1, 3), (1, 0)), (5, 7, 2), 2),
        ("maxpool(2, stride=3, round=floor)", maximum(2, 3), (8, 7, 17), 1),
        ("maxpool(3, stride=2, round=ceil)", maximum(3, 2, ceil_mode=True), (6, 8, 2), 2),
        ("avgpool(2)", average(2), (6, 4, 3), 2),
        ("avgpool(2, round=floor)", average(2), (7, 5, 3), 2),
        ("avgpool(3, stride=2, padding=1, round=floor)", average(3, 2, 1), (7, 6, 2), 2),
        (
            "avgpool(3, stride=2, padding=1, count_padding=false, round=floor)",
            average(3, 2, 1, count_include_pad=False),
            (7, 6, 2),
            2,
        ),
        ("avgpool((2,3), stride=(2,1), padding=(0,0,1,1))", average((2, 3), (2, 1), (0, 1)), (6, 5, 2), 2),
        ("avgpool(3, stride=2, padding=1, round=ceil)", average(3, 2, 1, ceil_mode=True), (6, 8, 2), 2),
        (
            "avgpool(3, stride=2, padding=1, count_padding=false, round=ceil)",
            average(3, 2, 1, ceil_mode=True, count_include_pad=False),
            (6, 8, 2),
            2,
        ),
        ("globalavgpool", mean(1), (5, 7, 19), 2),
        ("globalmaxpool", nn.AdaptiveMaxPool2d(1), (5, 7, 19), 2),
        ("adaptiveavgpool((3,2))", mean((3, 2)), (7, 5, 2), 2),
        ("adaptiveavgpool((5,7))", mean((5, 7)), (3, 4, 2), 2),
        ("adaptivemaxpool((3,2))", nn.AdaptiveMaxPool2d((3, 2)), (7, 5, 2), 2),
    ]


def activations():
    functions = [
        ("relu", nn.ReLU()),
        ("relu6", nn.ReLU6()),
        ("leakyrelu", nn.LeakyReLU()),
        ("leakyrelu(0.3)", nn.LeakyReLU(float(numpy.float32(0.3)))),
        ("sigmoid", nn.Sigmoid()),
        ("tanh", nn.Tanh()),
        ("silu", nn.SiLU()),
        ("hardswish", nn.Hardswish()),
        ("gelu", nn.GELU()),
        ("identity", nn.Identity()),
        ("hardsigmoid", nn.Hardsigmoid()),
        ("softplus", nn.Softplus()),
        ("gelutanh", nn.GELU(approximate="tanh")),
    ]
    return [(text, module, (3, 5, 5), 2) for text, module in functions]


def others():
    return [
        ("linear(7)", nn.Linear(13, 7), (1, 1, 13), 3),
        ("linear(33, bias=false)", nn.Linear(19, 33, bias=False), (1, 1, 19), 1),
        ("batchnorm", nn.BatchNorm2d(3), (4, 5, 3), 2),
        ("batchnorm(0.001, 0.3)", nn.BatchNorm2d(18, eps=float(numpy.float32(0.001)), momentum=0.3), (2, 3, 18), 3),
        ("batchnorm", nn.BatchNorm2d(2), (1, 1, 2), 2),
        (
            "multiply[ | globalavgpool-conv(3, kernel=1)-silu-conv(5, kernel=1)-hardsigmoid]",
            Multiply([], [nn.AdaptiveAvgPool2d(1), nn.Conv2d(5, 3, 1), nn.SiLU(), nn.Conv2d(3, 5, 1), nn.Hardsigmoid()]),
            (4, 6, 5),
            2,
        ),
        (
            "multiply[conv(3) | conv(3)-sigmoid]",
            Multiply([nn.Conv2d(4, 3, 3)], [nn.Conv2d(4, 3, 3), nn.Sigmoid()]),
            (5, 6, 4),
            3,
        ),
        ("channels(2, 3)", Channels(2, 3), (4, 5, 7), 2),
        ("pad((1,2,3,0))", nn.ZeroPad2d((3, 0, 1, 2)), (3, 4, 2), 2),
        ("pad((1,2), mode=reflect)", nn.ReflectionPad2d((2, 2, 1, 1)), (3, 4, 2), 2),
        ("pad((2,0,1,3), mode=replicate)", nn.ReplicationPad2d((1, 3, 2, 0)), (3, 4, 2), 2),
        ("pad(2, mode=circular)", nn.CircularPad2d(2), (3, 4, 2), 2),
        ("pad(1, mode=constant(0.5))", nn.ConstantPad2d(1, 0.5), (3, 4, 2), 2),
        ("upsample((2,3))", nn.Upsample(scale_factor=(2, 3)), (3, 4, 2), 2),
        ("upsample((2,3), mode=bilinear)", nn.Upsample(scale_factor=(2, 3), mode="bilinear"), (3, 4, 2), 2),
        ("upsample(4, mode=bilinear)", nn.Upsample(scale_factor=4, mode="bilinear"), (1, 2, 3), 2),
        ("prelu", nn.PReLU(7), (4, 5, 7), 2),
        ("prelu", nn.PReLU(33), (1, 1, 33), 3),
        ("shuffle(3)", nn.ChannelShuffle(3), (4, 5, 12), 2),
        ("shuffle(2)", nn.ChannelShuffle(2), (1, 1, 34), 3),
        ("layernorm", LayerNorm2d(7, 1e-6), (4, 5, 7), 2),
        ("layernorm(epsilon=0.01)", LayerNorm2d(67, 0.01), (3, 2, 67), 3),
        ("layernorm", LayerNorm2d(13, 1e-6), (1, 1, 13), 3),
        ("groupnorm(3)", nn.GroupNorm(3, 6, eps=float(numpy.float32(1e-5))), (4, 5, 6), 2),
        ("groupnorm(1, epsilon=0.01)", nn.GroupNorm(1, 34, eps=float(numpy.float32(0.01))), (3, 2, 34), 3),
        ("groupnorm(4)", nn.GroupNorm(4, 12, eps=float(numpy.float32(1e-5))), (1, 1, 12), 3),
        ("groupnorm(5)", nn.InstanceNorm2d(5, affine=True, eps=float(numpy.float32(1e-5))), (4, 3, 5), 2),
        ("scale", Scale(5), (4, 3, 5), 2),
        ("scale(bias=false)", Scale(70, bias=False), (2, 3, 70), 3),
    ]


def networks():
    norm, conv = nn.BatchNorm2d, nn.Conv2d
    return [
        (
            "conv(4, padding=1, bias=false)-batchnorm-relu"
            "-residual[conv(4, padding=1)-batchnorm-relu-conv(4, padding=1)-batchnorm]-relu-maxpool(2, round=floor)",
            nn.Sequential(
                conv(2, 4, 3, padding=1, bias=False), norm(4), nn.ReLU(),
                Residual(conv(4, 4, 3, padding=1), norm(4), nn.ReLU(), conv(4, 4, 3, padding=1), norm(4)),
                nn.ReLU(), nn.MaxPool2d(2)),
            (7, 6, 2),
            3,
        ),
        (
            "concat[conv(3)-relu | conv(2)-silu]-avgpool(2, round=floor)",
            nn.Sequential(
                Concat([nn.Sequential(conv(2, 3, 3), nn.ReLU()), nn.Sequential(conv(2, 2, 3), nn.SiLU())]), nn.AvgPool2d(2)),
            (8, 7, 2),
            2,
        ),
        (
            "conv(8, stride=2, padding=1, round=floor)-hardswish-conv(8, groups=8, padding=1)-batchnorm-relu6"
            "-conv(6, kernel=1)-gelu-globalavgpool",
            nn.Sequential(
                conv(3, 8, 3, 2, 1), nn.Hardswish(), conv(8, 8, 3, padding=1, groups=8), norm(8), nn.ReLU6(), conv(8, 6, 1),
                nn.GELU(), nn.AdaptiveAvgPool2d(1)),
            (9, 8, 3),
            2,
        ),
        (
            "conv(4, padding=same)-leakyrelu(0.25)-maxpool(2)-conv(4, mode=reflect, padding=1)-tanh-maxpool(3, stride=1)-sigmoid",
            nn.Sequential(
                conv(1, 4, 3, padding="same"), nn.LeakyReLU(0.25), nn.MaxPool2d(2),
                conv(4, 4, 3, padding=1, padding_mode="reflect"), nn.Tanh(), nn.MaxPool2d(3, 1), nn.Sigmoid()),
            (8, 10, 1),
            2,
        ),
    ]


def flattened_branches():
    """Rows of several maps, each channels first here and channels last in hubel."""
    branches = [nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten()), nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.ReLU())]
    text = "concat[conv(3)-flatten | avgpool(2)-flatten-relu]-batchnorm"
    return [(text, nn.Sequential(Concat(branches), nn.BatchNorm1d(96)), (6, 8, 2), 3)]


def channels_last(maps):
    return maps.permute(0, 2, 3, 1) if maps.dim() == 4 else maps


def record(tensors, name, text, body, shape, batch, values):
    """A forward and a backward run of `body`, flattened and followed by a linear layer; then what it gives in evaluation."""
    height, width, channels = shape
    images = values(batch * height * width * channels).reshape(batch, height, width, channels)
    images = images.permute(0, 3, 1, 2).contiguous().requires_grad_()
    body = body if isinstance(body, nn.Sequential) else nn.Sequential(body)
    before = images.flatten(1) if isinstance(body[0], nn.Linear) else images
    features = body.double().eval()(before).flatten(1).shape[1]
    network = nn.Sequential(*body, nn.Flatten(), nn.Linear(features, CLASSES)).double()
    start = 1000 * len(tensors)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            random = noise(start, value.numel()).reshape(value.shape)
            start += value.numel()
            # Variances and factors of batch norm are positive, the others centred.
            positive = key.endswith("running_var") or value.dim() == 1 and key.endswith("weight")
            value.copy_(in_float32(random + 0.5 if positive else 1.6 * random - 0.8))
    state = {key: value.clone() for key, value in network.state_dict().items() if "num_batches" not in key}
    tensors[f"{name}/input"] = channels_last(images)
    for key, value in state.items():
        tensors[f"{name}/weights/{key}"] = value
    network.eval()
    tensors[f"{name}/evaluated"] = network(before)
    network.train()
    output = nn.Sequential(*list(network)[: len(body)])(before)
    output.retain_grad()
    logits = network[-1](output.flatten(1))
    labels = [(3 * i + 1) % CLASSES for i in range(batch)]
    loss = F.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    tensors[f"{name}/output"] = channels_last(output)
    tensors[f"{name}/output_gradient"] = channels_last(output.grad)
    tensors[f"{name}/input_gradient"] = channels_last(images.grad)
    tensors[f"{name}/logits"] = logits
    for key, value in network.named_parameters():
        tensors[f"{name}/gradients/{key}"] = value.grad
    for key, value in network.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            tensors[f"{name}/after/{key}"] = value
    return {"name": name, "text": text, "input": list(shape), "batch": batch, "labels": labels, "loss": loss.item()}


def record_all(file, cases, values):
    tensors, descriptions = {}, []
    for i, (text, body, shape, batch) in enumerate(cases):
        descriptions.append(record(tensors, str(i), text, body, shape, batch, values))
    write(file, tensors, {"cases": descriptions})


def centred(count):
    return in_float32(4 * noise(77, count) - 2)


def levels(count):
    """-1, 0 and 1."""
    return in_float32(numpy.floor(3 * noise(5, count)) - 1)


def corners(count):
    """Where the activations bend, and far out; else from -4 to 4."""
    values = 8 * noise(33, count) - 4
    special = [0.0, -0.0, 3.0, -3.0, 6.0, 1e-3, -1e-3, 7.0, -20.0, 20.0, -60.0, 60.0, 1e-30, -1e-30]
    values[: 2 * len(special)] = 2 * special
    return in_float32(values)


# ---- Softmax with cross-entropy


def losses():
    tensors, cases = {}, []
    for i, (batch, classes, smoothing, scale, spread) in enumerate(
        [
            (3, 5, 0.0, 4, None), (3, 5, 0.1, 4, None), (1, 2, 0.0, 1, None), (4, 19, 0.0, 200, None), (4, 19, 0.25, 200, None),
            (2, 3, 1.0, 10, None), (7, 1, 0.0, 1, None),
            # Weights of the classes, from 0.2 to 0.2 + spread.
            (3, 5, 0.0, 4, 3.0), (3, 5, 0.1, 4, 3.0), (4, 19, 0.25, 200, 50.0), (2, 3, 1.0, 10, 1.0),
        ]
    ):
        logits = in_float32(scale * (noise(500 * i, batch * classes) - 0.5)).reshape(batch, classes).requires_grad_()
        labels = [(2 * n + i) % classes for n in range(batch)]
        weights = None if spread is None else in_float32(0.2 + spread * noise(500 * i + 250, classes))
        # As hubel has it: a float32.
        smoothing = float(numpy.float32(smoothing))
        loss = F.cross_entropy(logits, torch.tensor(labels), weight=weights, label_smoothing=smoothing)
        loss.backward()
        tensors |= {f"{i}/logits": logits, f"{i}/gradient": logits.grad, f"{i}/probabilities": logits.softmax(1)}
        cases.append({"name": str(i), "classes": classes, "labels": labels, "smoothing": smoothing, "loss": loss.item()})
        if weights is not None:
            cases[-1]["weights"] = weights.tolist()
    # Probabilities in place of labels. The mean divides by the rows, with and without weights.
    soft = []
    for i, (batch, classes, smoothing, scale, spread) in enumerate(
        [
            (3, 5, 0.0, 4, None), (3, 5, 0.1, 4, None), (4, 19, 0.25, 200, None), (2, 3, 1.0, 10, None), (7, 1, 0.0, 1, None),
            (3, 5, 0.0, 4, 3.0), (3, 5, 0.1, 4, 3.0), (4, 19, 0.25, 200, 50.0),
        ]
    ):
        logits = in_float32(scale * (noise(500 * i + 77, batch * classes) - 0.5)).reshape(batch, classes).requires_grad_()
        targets = noise(500 * i + 333, batch * classes).reshape(batch, classes)
        targets = in_float32(targets / targets.sum(1, keepdims=True))
        weights = None if spread is None else in_float32(0.2 + spread * noise(500 * i + 250, classes))
        smoothing = float(numpy.float32(smoothing))
        loss = F.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
        loss.backward()
        name = f"soft{i}"
        tensors |= {f"{name}/logits": logits, f"{name}/gradient": logits.grad, f"{name}/targets": targets}
        soft.append({"name": name, "classes": classes, "smoothing": smoothing, "loss": loss.item()})
        if weights is not None:
            soft[-1]["weights"] = weights.tolist()
    write("loss", tensors, {"cases": cases, "soft": soft})


# ---- Optimizers


# Steps after which the weights are stored. The gradients are noise that both sides make.
KEPT = [1, 2, 3, 5, 10, 20, 50, 100]

OPTIMIZERS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
    "muon": torch.optim.Muon,
}


def optimizers():
    count = 37
    cases = [
        ("sgd", {"lr": 0.1}),
        ("sgd", {"lr": 0.1, "weight_decay": 0.01}),
        ("sgd", {"lr": 0.05, "momentum": 0.9}),
        ("sgd", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.05}),
        ("sgd", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.05}),
        ("sgd", {"lr": 0.05, "momentum": 0.9, "clip": 3.5}),
        ("adam", {"lr": 0.01}),
        ("adam", {"lr": 0.02, "weight_decay": 0.1}),
        ("adam", {"lr": 0.01, "betas": [0.7, 0.9], "eps": 1e-4, "weight_decay": 0.01}),
        ("adamw", {"lr": 0.01, "weight_decay": 0.0}),
        ("adamw", {"lr": 0.02, "weight_decay": 0.1}),
        ("adamw", {"lr": 0.01, "betas": [0.8, 0.99], "eps": 1e-4, "weight_decay": 0.01, "clip": 0.01}),
        ("rmsprop", {"lr": 0.01}),
        ("rmsprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
        ("rmsprop", {"lr": 0.01, "alpha": 0.95, "momentum": 0.9, "weight_decay": 0.01}),
        # Filters x inputs.
        ("muon", {"lr": 0.02, "weight_decay": 0.1, "shape": [12, 20]}),
        ("muon", {"lr": 0.02, "weight_decay": 0.0, "momentum": 0.8, "shape": [20, 12]}),
        ("muon", {"lr": 0.02, "weight_decay": 0.1, "nesterov": False, "shape": [9, 9]}),
    ]
    tensors, descriptions = {}, []
    for i, (kind, given) in enumerate(cases):
        given = dict(given)
        shape, clip = given.pop("shape", [count]), given.pop("clip", None)
        rounded = {
            key: value if isinstance(value, bool) else numpy.float32(value).astype(numpy.float64).tolist()
            for key, value in given.items()
        }
        length, start = int(numpy.prod(shape)), 100_000 * i
        values = in_float32(2 * noise(start, length) - 1).reshape(shape).requires_grad_()
        gradients = in_float32(2 * noise(start + 1000, KEPT[-1] * length) - 1).reshape(-1, length)
        # One number never has a gradient, one a very small one.
        gradients[:, 0], gradients[:, 1] = 0, float(numpy.float32(1e-12))
        optimizer = OPTIMIZERS[kind]([values], **rounded)
        after = []
        for step, gradient in enumerate(gradients, 1):
            values.grad = gradient.reshape(shape).clone()
            if clip is not None:
                clip = float(numpy.float32(clip))
                nn.utils.clip_grad_norm_([values], clip)
            optimizer.step()
            if step in KEPT:
                # Matrices as they lie in hubel's memory: inputs x filters.
                after.append((values.detach().mT if len(shape) == 2 else values.detach()).flatten().clone())
        tensors[f"{i}/after"] = torch.stack(after)
        descriptions.append({"name": str(i), "kind": kind, "start": start, "shape": shape, "clip": clip, **rounded})
    write("optimizers", tensors, {"cases": descriptions, "kept": KEPT})


# ---- Schedules of the learning rate


def schedules():
    from torch.optim import lr_scheduler as torch_schedules

    steps, peak = 100, 0.1
    losses = [1 / (1 + 0.1 * min(epoch, 20)) + 0.002 * (epoch % 3) for epoch in range(steps)]
    linear = torch_schedules.LinearLR
    cosine = lambda optimizer: torch_schedules.CosineAnnealingLR(optimizer, steps)
    cases = {
        "step": lambda optimizer: torch_schedules.MultiStepLR(optimizer, [50, 75], 0.1),
        "cosine": cosine,
        "onecycle": lambda optimizer: torch_schedules.OneCycleLR(optimizer, peak, steps),
        "onecycle_other": lambda optimizer: torch_schedules.OneCycleLR(optimizer, peak, steps, pct_start=0.2, final_div_factor=4),
        "linear": lambda optimizer: linear(optimizer, 1, 0, steps),
        "linear_other": lambda optimizer: torch_schedules.SequentialLR(
            optimizer, [linear(optimizer, 0.2, 1, 25), linear(optimizer, 1, 0.07, 75)], [25]
        ),
        "warm_up": lambda optimizer: torch_schedules.ChainedScheduler([linear(optimizer, 1 / 10, 1, 9), cosine(optimizer)]),
        "plateau": lambda optimizer: torch_schedules.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, threshold=1e-3),
    }
    tensors = {"losses": torch.tensor(losses)}
    for name, make in cases.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
        schedule = make(optimizer)
        rates = []
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            # The rate of the plateau is that of the epoch after this loss.
            loss = float(numpy.float32(losses[step]))
            schedule.step(loss) if name == "plateau" else schedule.step()
        tensors[name] = torch.tensor(rates, dtype=torch.float64)
    write("schedules", tensors, {"peak": peak})


# ---- 200 steps of training


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def first_weights(network):
    """Uniform within sqrt(3 / fan_in), so of variance 1 / fan_in; tensor t begins its noise at 1,000,000 (t + 1)."""
    with torch.no_grad():
        for t, (key, value) in enumerate(network.named_parameters()):
            fan_in = dict(network.named_parameters())[key.rsplit(".", 1)[0] + ".weight"][0].numel()
            bound = float(numpy.float32(numpy.sqrt(3 / fan_in)))
            centred = 2 * noise(1_000_000 * (t + 1), value.numel()) - 1
            value.copy_(in_float32(bound * centred).reshape(value.shape))


def pictures(start, count):
    """Stripes of 1 and -1 whose slope says the class, under twice as much noise."""
    images = torch.empty(count, 1, 28, 28, dtype=torch.float64)
    y, x = numpy.mgrid[:28, :28]
    labels = [(start + n) % 10 for n in range(count)]
    for n, label in enumerate(labels):
        stripes = (y * (1 + label % 5) + x * (1 + 2 * (label // 5))) % 7 < 3
        dots = 4 * noise(784 * (start + n), 784).reshape(28, 28) - 2
        images[n, 0] = in_float32(numpy.where(stripes, 1, -1) + dots)
    return images, torch.tensor(labels)


def curve(number, steps, batch, optimizer):
    network = lenet5().to(number)
    first_weights(network)
    optimizer = torch.optim.SGD(network.parameters(), **optimizer)
    losses = []
    for step in range(steps):
        images, labels = pictures(step * batch, batch)
        logits = network(images.to(number))
        if step == 0:
            first = logits.detach().clone()
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return first, torch.tensor(losses, dtype=torch.float64)


def training():
    steps, batch = 200, 20
    # Small enough that rounding does not grow: with 0.01, PyTorch's own curves in float32 and float64 part after 100 steps.
    optimizer = {"lr": float(numpy.float32(0.003)), "momentum": float(numpy.float32(0.9))}
    first, exact = curve(torch.float64, steps, batch, optimizer)
    _, single = curve(torch.float32, steps, batch, optimizer)
    difference = (single - exact).abs()
    print(f"losses {exact[0]:.3f} to {exact[-1]:.3f}; PyTorch's own in float32 differ by {difference.max():.1e} at most")
    write("training", {"first_logits": first, "losses": exact}, {"steps": steps, "batch": batch, **optimizer})


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    record_all("convolutions", convolutions(), centred)
    record_all("pools", pools(), levels)
    record_all("activations", activations(), corners)
    record_all("others", others(), centred)
    record_all("networks", networks(), centred)
    record_all("flattened", flattened_branches(), centred)
    losses()
    # Of Muon, PyTorch computes the iteration in bfloat16, whatever the type of the gradient is.
    bfloat16, torch.bfloat16 = torch.bfloat16, torch.float64
    optimizers()
    torch.bfloat16 = bfloat16
    schedules()
    training()
