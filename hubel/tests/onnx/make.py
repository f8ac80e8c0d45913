"""Writes small ONNX files with random weights, and beside each the logits of ONNX Runtime: the fixtures of hubel/src/onnx/tests.rs.

    pip install torch onnx onnxruntime onnxscript
    python make.py [FOLDER]
"""
import json
import os
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from waves import answer, waves

warnings.filterwarnings("ignore")
FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
RANDOM = np.random.default_rng(1)


class Parts(nn.Module):
    """A network of one line, as torch.nn modules, whose last is a linear layer on what is flattened."""

    def __init__(self, body, shape, classes=5, seed=1):
        super().__init__()
        torch.manual_seed(seed)
        self.body = body
        with torch.no_grad():
            flat = body(torch.zeros(1, *shape)).flatten(1).shape[1]
        self.fc = nn.Linear(flat, classes)
        self.shape = shape

    def forward(self, x):
        return self.fc(self.body(x).flatten(1))


class Residual(nn.Module):
    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Branches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Excited(nn.Module):
    def __init__(self, channels, gate):
        super().__init__()
        self.down, self.up, self.gate = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1), gate

    def forward(self, x):
        return self.gate(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1))))) * x


class Dense(nn.Module):
    """Layers that each read the outputs of all before, as in DenseNet."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(3 + 2 * i), nn.ReLU(), nn.Conv2d(3 + 2 * i, 2, 3, padding=1)) for i in range(3))

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class ChannelsLast(nn.Module):
    """Linear layers on the last axis, as in ConvNeXt, with a factor for each channel."""

    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.rand(4, 1, 1) + 0.5)

    def forward(self, x):
        inner = self.down(F.gelu(self.up(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)
        return x + self.scale * inner


class LayerScale(nn.Module):
    """A factor for each channel, as in ConvNeXt, and perhaps a summand."""

    def __init__(self, channels, bias=False):
        super().__init__()
        self.layer_scale = nn.Parameter(torch.rand(channels, 1, 1) + 0.5)
        self.bias = nn.Parameter(torch.rand(channels, 1, 1)) if bias else None

    def forward(self, x):
        return self.layer_scale * x if self.bias is None else self.layer_scale * x + self.bias


class Sized(nn.Module):
    """A reshape whose sizes come from the input's, and functions written in parts."""

    def forward(self, x):
        x = x * F.relu6(x + 3) / 6
        x = x * torch.sigmoid(x)
        x = torch.clamp(torch.clamp(x, min=0), max=6)
        return x.view(x.size(0), x.size(1), x.size(2) * x.size(3)).mean(2).reshape(x.shape[0], -1)


def modules():
    yield "convolutions", nn.Sequential(
        nn.Conv2d(3, 6, (3, 2), stride=(2, 1), padding=(1, 0)), nn.BatchNorm2d(6), nn.ReLU6(),
        nn.Conv2d(6, 8, 3, dilation=2, groups=2, bias=False), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3, groups=8, padding="same"), nn.Hardswish()), (3, 13, 12)
    yield "pools", nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Tanh(), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(2, 1, ceil_mode=False), nn.SiLU(),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False)), (1, 20, 17)
    yield "residual", nn.Sequential(
        nn.Conv2d(3, 4, 3), Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())), nn.ReLU(),
        Residual(nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6)), nn.Conv2d(4, 6, 1, 2)), nn.AdaptiveAvgPool2d(1)), (3, 9, 9)
    yield "branches", nn.Sequential(
        nn.Conv2d(3, 4, 1), Branches(nn.Identity(), nn.Sequential(nn.Conv2d(4, 3, 1), Branches(nn.Conv2d(3, 2, (1, 3), padding=(0, 1)), nn.Conv2d(3, 2, (3, 1), padding=(1, 0)))),
                                     nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 2, 1))), nn.ReLU()), (3, 6, 7)
    yield "excited", nn.Sequential(nn.Conv2d(3, 6, 3), Excited(6, nn.Sigmoid()), nn.ReLU(), Excited(6, nn.Hardsigmoid())), (3, 8, 8)
    yield "dense", nn.Sequential(Dense(), nn.AvgPool2d(2)), (3, 6, 6)
    yield "channels-last", nn.Sequential(nn.Conv2d(3, 4, 3), ChannelsLast(), nn.Dropout(0.3)), (3, 7, 6)
    yield "padded", nn.Sequential(nn.ReflectionPad2d((1, 2, 0, 1)), nn.Conv2d(3, 4, 3), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 4, 3, stride=2),
                                  nn.ReplicationPad2d(1), nn.Conv2d(4, 4, 3), nn.ReLU()), (3, 9, 10)
    yield "sized", nn.Sequential(nn.Conv2d(3, 4, 3), Sized()), (3, 6, 6)
    yield "smooth", nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 4, 3), nn.GELU(approximate="tanh"), nn.Conv2d(4, 4, 1), nn.Softplus(2)), (3, 6, 6)

    yield "slopes", nn.Sequential(nn.Conv2d(3, 4, 3), sloped(4), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 7), sloped(7)), (3, 6, 6)

    yield "bordered", nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConstantPad2d((1, 0, 0, 1), -3), nn.MaxPool2d(3, 1), nn.ReflectionPad2d((1, 1, 2, 0)), nn.MaxPool2d(2),
                                    nn.ReplicationPad2d((0, 1, 2, 0)), nn.Tanh(), nn.ZeroPad2d((1, 0, 2, 1)), nn.MaxPool2d(2, 1)), (3, 9, 10)

    yield "enlarged", nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3), nn.Upsample(scale_factor=(2, 3), mode="bilinear"),
                                    nn.Conv2d(4, 4, 3), nn.Upsample((20, 48)), nn.MaxPool2d(3)), (3, 9, 9)

    yield "grouped", nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(),
        Residual(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), LayerScale(8))),
        nn.InstanceNorm2d(8), nn.ReLU(), LayerScale(8, bias=True), nn.ReLU(), nn.GroupNorm(1, 8, eps=1e-3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.GroupNorm(2, 8), nn.Linear(8, 12), nn.GroupNorm(3, 12)), (3, 7, 6)

def sloped(channels):
    module = nn.PReLU(channels)
    nn.init.uniform_(module.weight, -0.5, 0.5)
    return module


def without_traces(path):
    """Takes the lines of Python that made each node out of a file."""
    model = onnx.load(path)
    for part in [model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]:
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


def export(name, body, shape):
    model = Parts(body, shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d)) and module.affine:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    model.eval()
    example = torch.zeros(2, *shape)
    for opset in (9, 17):
        if (opset, name) in ((9, "convolutions"), (9, "excited"), (9, "pools"), (9, "enlarged")):
            opset = 14
        path = os.path.join(FOLDER, f"{name}-{opset}.onnx")
        torch.onnx.export(model, (example,), path, dynamo=False, opset_version=opset, input_names=["image"], dynamic_axes={"image": {0: "n"}})
        yield path
    path = os.path.join(FOLDER, f"{name}-new.onnx")
    torch.onnx.export(model, (example,), path, dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False, verbose=False)
    without_traces(path)
    yield path


class Blocks(nn.Module):
    """Blocks as in MobileNetV3 and ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.inverted = Residual(nn.Sequential(
            nn.Conv2d(8, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6(), nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12), nn.SiLU(),
            Excited(12, nn.Hardsigmoid()), nn.Conv2d(12, 8, 1, bias=False), nn.BatchNorm2d(8)))
        self.norm, self.up, self.down = nn.LayerNorm(8, eps=1e-6), nn.Linear(8, 16), nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.rand(8, 1, 1) + 0.5)

    def forward(self, x):
        x = F.max_pool2d(self.inverted(self.first(x)), 3, 1, 1)
        inner = self.down(F.gelu(self.up(self.norm(x.permute(0, 2, 3, 1))))).permute(0, 3, 1, 2)
        return F.avg_pool2d(x + self.scale * inner, 2)


def trained(shape=(3, 12, 10), labels=(0, 3, 1, 4, 2), rate=0.1):
    """A network whose batch norms stay nodes of their own, from both exporters; beside each, its logits, and those after one step of gradient descent."""
    model = Parts(Blocks(), shape).eval()
    example = torch.zeros(2, *shape)
    paths = [os.path.join(FOLDER, f"trained-{exporter}.onnx") for exporter in ("17", "new")]
    torch.onnx.export(model, (example,), paths[0], dynamo=False, opset_version=17, input_names=["image"], dynamic_axes={"image": {0: "n"}},
                      training=torch.onnx.TrainingMode.PRESERVE)
    torch.onnx.export(model, (example,), paths[1], dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False, verbose=False, optimize=False)
    without_traces(paths[1])
    model.train()
    # Levels of pictures.
    pictures = torch.from_numpy((waves(len(labels), *shape[1:], shape[0]) + 1) / 2).permute(0, 3, 1, 2)
    loss = F.cross_entropy(model(pictures), torch.tensor(labels))
    loss.backward()
    torch.optim.SGD(model.parameters(), rate).step()
    after = model.eval()(pictures).tolist()
    for path in paths:
        answer(path)
        with open(path[:-5] + ".step.json", "w") as file:
            json.dump({"rate": rate, "labels": labels, "loss": loss.item(), "after": [[float(f"{value:.8g}") for value in row] for row in after]}, file)


def constant(name, *shape):
    return numpy_helper.from_array((RANDOM.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32), name)


def by_hand():
    """Files that PyTorch does not write: names of nodes, graph, opset."""
    image = ("image", TensorProto.FLOAT, ["n", 3, 9, 8])

    def file(name, opset, nodes, constants, input=image, classes=4, shuffle=False, **save):
        if shuffle:
            nodes = nodes[::-1]
        graph = helper.make_graph(nodes, name, [helper.make_tensor_value_info(*input)],
                                  [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [input[2][0], classes])], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        path = os.path.join(FOLDER, f"{name}.onnx")
        onnx.save(model, path, **save)
        return path

    node = helper.make_node
    # SAME padding of both kinds, with strides and odd sums.
    for kind in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield file(f"auto-pad-{kind.lower()}", 11, [
            node("Conv", ["image", "w"], ["a"], auto_pad=kind, strides=[2, 3], kernel_shape=[2, 4]),
            node("MaxPool", ["a"], ["b"], auto_pad=kind, strides=[1, 2], kernel_shape=[2, 2]),
            node("AveragePool", ["b"], ["c"], auto_pad="VALID", kernel_shape=[1, 1]),
            node("GlobalAveragePool", ["c"], ["d"]), node("Flatten", ["d"], ["e"]), node("Gemm", ["e", "v", "u"], ["logits"], alpha=0.5, beta=2.0)],
            [constant("w", 5, 3, 2, 4), constant("v", 5, 4), constant("u", 4)])
    # Operators of version 6 and 9: attributes in place of inputs, nodes in disorder, a softmax at the end.
    yield file("unsorted", 9, [
        node("Conv", ["image", "w", "b"], ["a"], pads=[1, 0, 2, 1]), node("Clip", ["a"], ["c"], min=0.0, max=6.0), node("Dropout", ["c"], ["d", "mask"], ratio=0.25),
        node("BatchNormalization", ["d", "s", "t", "m", "v"], ["e"], epsilon=0.01, momentum=0.8), node("Pad", ["e"], ["f"], pads=[0, 0, 0, 1, 0, 0, 1, 0]),
        node("Conv", ["f", "x"], ["g"], strides=[2, 2]), node("Mul", ["g", "k"], ["h"]), node("Sub", ["h", "z"], ["i"]), node("ReduceMean", ["i"], ["j"], axes=[2, 3], keepdims=0),
        node("MatMul", ["j", "l"], ["o"]), node("Add", ["o", "q"], ["logits"])],
        [constant("w", 4, 3, 3, 2), constant("b", 4), constant("s", 4), constant("t", 4), constant("m", 4),
         numpy_helper.from_array(RANDOM.uniform(0.5, 1.5, 4).astype(np.float32), "v"), constant("x", 5, 4, 3, 3), constant("k", 5, 1, 1), constant("z", 1, 5, 1, 1),
         constant("l", 5, 4), constant("q", 4)], shuffle=True)
    # Channels last with a normalisation inside, as TensorFlow's converter writes it, flattened in that order.
    yield file("tensorflow", 13, [
        node("Sub", ["image", "mean"], ["a"]), node("Mul", ["a", "scale"], ["b"]), node("Transpose", ["b"], ["c"], perm=[0, 3, 1, 2]),
        node("Pad", ["c", "pads"], ["d"]), node("Conv", ["d", "w", "u"], ["e"], strides=[2, 2], kernel_shape=[3, 3]), node("Relu", ["e"], ["f"]), node("Min", ["f", "six"], ["g"]),
        node("Transpose", ["g"], ["h"], perm=[0, 2, 3, 1]), node("Reshape", ["h", "flat"], ["i"]), node("MatMul", ["i", "v"], ["j"]), node("Add", ["j", "t"], ["logits"])],
        [numpy_helper.from_array(np.float32([0.1, 0.2, 0.3]), "mean"), numpy_helper.from_array(np.float32([2, 3, 4]), "scale"),
         numpy_helper.from_array(np.int64([0, 0, 0, 0, 0, 0, 1, 1]), "pads"), numpy_helper.from_array(np.float32(6), "six"), numpy_helper.from_array(np.int64([-1, 4 * 4 * 5]), "flat"),
         constant("w", 5, 3, 3, 3), constant("u", 5), constant("v", 80, 4), constant("t", 4)], input=("image", TensorProto.FLOAT, ["n", 8, 9, 3]))
    # A batch of one, values in another file, half floats.
    half = numpy_helper.from_array(RANDOM.standard_normal((4, 3, 3, 3)).astype(np.float16), "w16")
    yield file("external", 17, [
        node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT), node("Conv", ["image", "w"], ["a"]), node("Relu", ["a"], ["b"]),
        node("Shape", ["b"], ["s"]), node("Gather", ["s", "zero"], ["n"]), node("Unsqueeze", ["n", "front"], ["m"]), node("Concat", ["m", "rest"], ["sizes"], axis=0),
        node("Reshape", ["b", "sizes"], ["c"]), node("Gemm", ["c", "v"], ["logits"], transB=1)],
        [half, numpy_helper.from_array(np.int64(0), "zero"), numpy_helper.from_array(np.int64([0]), "front"), numpy_helper.from_array(np.int64([-1]), "rest"),
         constant("v", 4, 4 * 7 * 6)], input=("image", TensorProto.FLOAT, [1, 3, 9, 8]), save_as_external_data=True, location="external.bin", size_threshold=100)
    # Group norm with a scale for each group (version 18 of the operators) and for each channel (version 21).
    for opset, count in ((18, 2), (21, 6)):
        yield file(f"groups-{opset}", opset, [
            node("Conv", ["image", "w"], ["a"]), node("GroupNormalization", ["a", "s", "t"], ["b"], epsilon=0.01, num_groups=2), node("Relu", ["b"], ["c"]),
            node("GlobalAveragePool", ["c"], ["d"]), node("Flatten", ["d"], ["e"]), node("Gemm", ["e", "v"], ["logits"])],
            [constant("w", 6, 3, 3, 3), constant("s", count), constant("t", count), constant("v", 6, 4)])


def constants(cases=800):
    """One file with many small nodes on constants, and ONNX Runtime's values of those that it computes, by their names."""
    random = np.random.default_rng(5)
    folder = os.path.join(FOLDER, "constants")
    os.makedirs(folder, exist_ok=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    kinds = ("Slice Gather Concat Transpose Squeeze Unsqueeze Reshape Flatten Expand Range Shape Size Add Sub Mul Div Pow Max Min ConstantOfShape Cast Neg Floor Ceil Abs Exp "
             "Sqrt Log Reciprocal MatMul ReduceSum ReduceMax ReduceMin ReduceMean ReduceProd Clip Equal Greater GreaterOrEqual Less LessOrEqual And Or Not Where BatchNormalization").split()
    nodes, tensors, expected = [], [], {}
    for case in range(cases):
        kind, name = kinds[case % len(kinds)], f"{case}"
        shape = [int(random.choice([1, 2, 3, 4])) for _ in range(random.integers(0, 4))]
        is_whole = random.random() < 0.4 and kind not in ("Exp", "Sqrt", "Log", "Reciprocal", "Floor", "Ceil", "MatMul", "BatchNormalization")
        first = random.integers(-5, 6, shape) if is_whole else random.standard_normal(shape).astype(np.float32)
        given, settings, count = [first], {}, random.integers(1, 3)
        some = lambda low, high, of=count: random.integers(low, high, of)  # noqa: E731
        if kind == "Slice":
            ends = [2**31 - 1, -2**31, 2**63 - 1, -2**63]
            far = lambda: np.array([ends[random.integers(4)] if random.random() < 0.2 else random.integers(-4, 5) for _ in range(count)], np.int64)  # noqa: E731
            given += [far(), far(), some(-3, 3), random.choice([1, 1, -1, 2, -2], count)]
        elif kind == "Gather":
            given, settings = [first, some(-3, 3)], {"axis": int(random.integers(-2, 3))}
        elif kind == "Concat":
            given, settings = [first, first], {"axis": int(random.integers(-2, 3))}
        elif kind in ("Squeeze", "Unsqueeze"):
            given.append(some(-3, 4))
        elif kind == "Reshape":
            given.append(random.choice([-1, 0, 1, 2, 3, 4], random.integers(0, 4)))
        elif kind == "Flatten":
            settings = {"axis": int(random.integers(-3, 4))}
        elif kind == "Expand":
            given.append(random.choice([1, 2, 3, 4], random.integers(0, 4)))
        elif kind == "Range":
            given = [np.array(value) for value in (random.integers(-9, 9, 3) if is_whole else random.uniform(-9, 9, 3).astype(np.float32))]
        elif kind == "Shape":
            settings = {"start": int(random.integers(-3, 3))}
        elif kind in ("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"):
            other = [size if random.random() < 0.5 else 1 for size in shape[random.integers(0, len(shape) + 1):]]
            given.append((random.integers(1, 4, other) if is_whole else random.uniform(0.5, 2, other)).astype(first.dtype))
            if kind == "Pow":
                given[0] = np.abs(first)
                given[1] = given[1] if random.random() < 0.5 else np.asarray(given[1], np.float32) / 2
        elif kind == "ConstantOfShape":
            given = [random.integers(0, 4, random.integers(0, 3))]
        elif kind == "Cast":
            # Numbers beyond a byte, and parts of one.
            given, settings = [np.asarray(first * 100.7, np.int64 if is_whole else np.float32)], {"to": [1, 6, 7, 9, 11, 10, 2][random.integers(7)]}
            if settings["to"] == TensorProto.UINT8:
                given[0] = np.abs(given[0])
        elif kind == "MatMul":
            rows, between, columns = random.integers(1, 5, 3)
            batch = [2, 3] if random.random() < 0.5 else []
            given = [random.standard_normal([*batch, rows, between]).astype(np.float32), random.standard_normal([between, columns]).astype(np.float32)]
        elif kind == "ReduceSum":
            given, settings = [first, some(-2, 3)] if random.random() < 0.8 else [first], {"keepdims": int(random.integers(2))}
        elif kind in ("ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"):
            settings = {"keepdims": int(random.integers(2))}
            if random.random() < 0.8:
                settings["axes"] = [int(random.integers(-2, 3))]
        elif kind == "BatchNormalization":
            first, size = random.standard_normal([2, 3, 4]).astype(np.float32), 3
            given = [first, *(random.uniform(0.5, 2, size).astype(np.float32) for _ in range(4))]
            settings = {"training_mode": int(random.integers(2)), "epsilon": 0.01}
        elif kind == "Clip":
            given += [np.asarray(value, first.dtype) for value in (-1, 2)]
        elif kind in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
            given.append(np.roll(first, 1) if random.random() < 0.5 else np.asarray(0, first.dtype))
        elif kind in ("And", "Or"):
            given = [first > 0, np.roll(first, 1) > 0]
        elif kind == "Not":
            given = [first > 0]
        elif kind == "Where":
            given = [first > 0, first, np.asarray(7, first.dtype)]
        elif kind in ("Sqrt", "Log", "Reciprocal"):
            given = [np.abs(first) + np.float32(0.1)]
        own = [numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), f"{name} {place}") for place, value in enumerate(given)]
        results = [name, f"{name} mean", f"{name} variance"] if settings.get("training_mode") else [name]
        node = helper.make_node(kind, [tensor.name for tensor in own], results, **settings)
        graph = helper.make_graph([node], "constants", [], [helper.make_empty_tensor_value_info(name)], own)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        try:
            value = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {})[0]
        except Exception:
            continue
        if kind == "Slice":
            # ONNX Runtime reads the largest number as an end in its own way when it goes backwards; the standard says that numpy is right.
            cut = [slice(None)] * first.ndim
            for start, end, axis, step in zip(*given[1:]):
                cut[axis] = slice(int(start), int(end), int(step))
            if first[tuple(cut)].shape != value.shape:
                continue
        if np.isfinite(value.astype(float)).all():
            nodes.append(node)
            tensors += own
            expected[name] = [kind, list(value.shape), [float(f"{number:.9g}") for number in value.astype(float).ravel()]]
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])], [helper.make_empty_tensor_value_info(nodes[0].output[0])]
    model = helper.make_model(helper.make_graph(nodes, "constants", *ports, tensors), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, os.path.join(folder, "constants.onnx"))
    with open(os.path.join(folder, "constants.json"), "w") as file:
        json.dump(expected, file)


if __name__ == "__main__":
    for case in modules():
        for path in export(*case):
            answer(path)
    for path in by_hand():
        answer(path)
    trained()
    constants()
