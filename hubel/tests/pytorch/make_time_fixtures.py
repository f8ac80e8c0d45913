"""Writes clips.safetensors and texts.safetensors for ../pytorch.rs: what PyTorch computes along time.

    python make_time_fixtures.py      (torch 2.15.0, safetensors 0.8.0)

As make_fixtures.py, whose modules and numbers it uses. Clips are [n, t, h, w, c], and a convolution of frames or along time is a Conv3d with one
extent or the other; its weights are stored without the axes of length 1. Texts are [n, t] tokens, and 0 is padding at the end.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F
from make_fixtures import CLASSES, Concat, Residual, in_float32, noise, write


def frames(inputs, filters, kernel=3, padding=0, **settings):
    return nn.Conv3d(inputs, filters, (1, kernel, kernel), padding=(0, padding, padding), **settings)


def along(inputs, filters, kernel=3, stride=1, padding=0, dilation=1, **settings):
    return nn.Conv3d(
        inputs, filters, (kernel, 1, 1), stride=(stride, 1, 1), padding=(padding, 0, 0), dilation=(dilation, 1, 1), **settings)


class OverTime(nn.Module):
    def __init__(self, largest):
        super().__init__()
        self.largest = largest

    def forward(self, x):
        return x.amax(2) if self.largest else x.mean(2)


def clips():
    norm = nn.BatchNorm3d
    return [
        ("timeconv(4)", along(3, 4), (5, 3, 2, 3), 2),
        ("timeconv(6, kernel=2, stride=2, padding=1, groups=3, bias=false)", along(3, 6, 2, 2, 1, groups=3, bias=False), (6, 2, 3, 3), 2),
        ("timeconv(5, dilation=2, padding=2)", along(2, 5, dilation=2, padding=2), (4, 1, 1, 2), 3),
        ("timemaxpool(3, stride=2, padding=1, round=floor)", nn.MaxPool3d((3, 1, 1), (2, 1, 1), (1, 0, 0)), (6, 2, 2, 3), 2),
        (
            "timeavgpool(3, stride=2, padding=1, count_padding=false, round=ceil)",
            nn.AvgPool3d((3, 1, 1), (2, 1, 1), (1, 0, 0), ceil_mode=True, count_include_pad=False),
            (6, 2, 2, 3),
            2,
        ),
        ("maxovertime", OverTime(True), (4, 2, 3, 2), 2),
        ("avgovertime", OverTime(False), (4, 2, 3, 2), 2),
        # The factorised convolution of Tran et al. 2018.
        (
            "conv(5, padding=1, bias=false)-batchnorm-relu-timeconv(4, padding=1, bias=false)-batchnorm-relu-maxpool(2)"
            "-residual[conv(4, padding=1)-tanh-timeconv(4, padding=1)]-globalavgpool-avgovertime",
            nn.Sequential(
                frames(2, 5, padding=1, bias=False), norm(5), nn.ReLU(), along(5, 4, padding=1, bias=False), norm(4), nn.ReLU(),
                nn.MaxPool3d((1, 2, 2)),
                Residual(frames(4, 4, padding=1), nn.Tanh(), along(4, 4, padding=1)), nn.AdaptiveAvgPool3d((None, 1, 1)),
                OverTime(False)),
            (5, 6, 4, 2),
            2,
        ),
        # Flattened with times: channels first here.
        ("conv(3)-tanh-timeconv(4, kernel=2)-tanh", nn.Sequential(frames(2, 3), nn.Tanh(), along(3, 4, 2), nn.Tanh()), (3, 4, 5, 2), 2),
    ]


VOCABULARY = 11


class TextPool(nn.Module):
    """Over the times of each text that are not padding; `windows` are (kernel, stride, padding, dilation) of the layers before."""

    lengths = None

    def __init__(self, largest, *windows):
        super().__init__()
        self.largest, self.windows = largest, windows

    def forward(self, x):
        rows = []
        for map, length in zip(x, TextPool.lengths):
            for kernel, stride, padding, dilation in self.windows:
                length = max(length + 2 * padding - dilation * (kernel - 1) - 1, 0) // stride + 1
            map = map[:, :length]
            rows.append(map.amax(1) if self.largest else map.mean(1))
        return torch.stack(rows)


class Vectors(nn.Embedding):
    def forward(self, tokens):
        return super().forward(tokens).transpose(1, 2)


def texts():
    def branch(kernel, largest=True):
        return nn.Sequential(nn.Conv1d(6, 4, kernel), nn.ReLU(), TextPool(largest, (kernel, 1, 0, 1)))

    return [
        # Kim 2014.
        (
            "embedding(6)-concat[timeconv(4, kernel=2)-relu-maxovertime | timeconv(4)-relu-maxovertime"
            " | timeconv(4, kernel=4)-relu-avgovertime]",
            nn.Sequential(Vectors(VOCABULARY, 6, padding_idx=0), Concat([branch(2), branch(3), branch(4, False)])),
            7,
            4,
        ),
        (
            "embedding(5)-timeconv(6, padding=same, dilation=2)-tanh-timemaxpool(2, round=ceil)-avgovertime",
            nn.Sequential(
                Vectors(VOCABULARY, 5, padding_idx=0), nn.Conv1d(5, 6, 3, padding=2, dilation=2), nn.Tanh(),
                nn.MaxPool1d(2, ceil_mode=True), TextPool(False, (3, 1, 2, 2), (2, 2, 0, 1))),
            7,
            4,
        ),
    ]


def stored(value):
    """A tensor without the axes of length 1 that Conv3d has besides, as hubel's layers have it."""
    if value.dim() == 5:
        return value[:, :, 0] if value.shape[2] == 1 and value.shape[3:] != (1, 1) else value[:, :, :, 0, 0]
    return value


def channels_last(maps):
    return maps.movedim(1, -1) if maps.dim() > 2 else maps


def record(tensors, name, text, body, before, features):
    """As `record` of make_fixtures.py, for an input in PyTorch's order. Maps that are not rows are flattened."""
    network = nn.Sequential(*body, nn.Flatten(), nn.Linear(features, CLASSES)).double()
    start = 1000 * len(tensors)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if key.endswith("num_batches_tracked"):
                continue
            random = noise(start, value.numel()).reshape(value.shape)
            start += value.numel()
            positive = key.endswith("running_var") or value.dim() == 1 and key.endswith("weight")
            value.copy_(in_float32(random + 0.5 if positive else 1.6 * random - 0.8))
        if isinstance(body[0], Vectors):
            body[0].weight[0] = 0.0
    for key, value in network.state_dict().items():
        if "num_batches" not in key:
            tensors[f"{name}/weights/{key}"] = stored(value.clone())
    network.eval()
    tensors[f"{name}/evaluated"] = network(before)
    network.train()
    logits = network(before)
    labels = [(3 * i + 1) % CLASSES for i in range(len(before))]
    loss = F.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    tensors[f"{name}/logits"] = logits
    for key, value in network.named_parameters():
        tensors[f"{name}/gradients/{key}"] = stored(value.grad)
    for key, value in network.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            tensors[f"{name}/after/{key}"] = value
    return {"name": name, "text": text, "batch": len(before), "labels": labels, "loss": loss.item()}


def record_clips():
    tensors, cases = {}, []
    for i, (text, body, (time, height, width, channels), batch) in enumerate(clips()):
        body = body if isinstance(body, nn.Sequential) else nn.Sequential(body)
        count = batch * time * height * width * channels
        values = in_float32(2 * noise(7 * i, count) - 1).reshape(batch, time, height, width, channels)
        images = values.permute(0, 4, 1, 2, 3).contiguous()
        features = body.double().eval()(images).flatten(1).shape[1]
        tensors[f"{i}/input"] = values
        case = record(tensors, str(i), text, body, images, features)
        cases.append(case | {"input": [time, height, width, channels]})
    write("clips", tensors, {"cases": cases})


def record_texts():
    tensors, cases = {}, []
    for i, (text, body, time, batch) in enumerate(texts()):
        tokens = torch.tensor([[1 + (5 * n + 3 * t) % (VOCABULARY - 1) for t in range(time)] for n in range(batch)])
        # Full, cut, shorter than a kernel, and nothing but padding.
        lengths = [time, time - 2, 2, 0]
        for row, length in zip(tokens, lengths):
            row[length:] = 0
        TextPool.lengths = [max(length, 1) for length in lengths]
        features = body.double().eval()(tokens).shape[1]
        tensors[f"{i}/input"] = tokens
        case = record(tensors, str(i), text, body, tokens, features)
        cases.append(case | {"input": [time, 1, 1, 1], "vocabulary": VOCABULARY})
    write("texts", tensors, {"cases": cases})


if __name__ == "__main__":
    record_clips()
    record_texts()
