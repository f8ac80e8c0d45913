#!/usr/bin/env python3
"""Do ONNX Runtime, OpenVINO and tract compute from exported files what hubel computes?

    PYTHON scripts/onnx-peers/compare.py [HUBEL] [--only TEXT] [--out FILE]

Trains each picture network of the zoo, each network of the list ODD in hubel/src/onnx/tests.rs, and some more, for some steps on pictures of noise, so that weights, running statistics and
the temperature are not the initial ones. Exports it with each combination of operator version, input, batch norm and precision (large networks: with six of them), checks each
file with onnx.checker, and runs it with each program on batches of one and three pictures. The same pictures go to `hubel predict` as PNG files of exactly the model's size.

hubel prints probabilities, softmax(logits / temperature). Their logarithms times the temperature are the logits but for a constant, so both sides are compared after their mean
is taken away. Allowed: a difference of 1e-4 of the largest logit (1e-2 with --fp16), and no other class, unless hubel's two largest logits differ by less than that.
"refused" are models for which rounding to 16 bits is too coarse, so that hubel writes no file. "coarse" are those where this shows on the pictures of this script only: the other
programs are then compared with what hubel computes from the file.
"""
import argparse
import itertools
import json
import math
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import tract
from importlib.metadata import version
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CLASSES, BATCHES = 7, (1, 3)
BOUNDS = {False: 1e-4, True: 1e-2}

Network = namedtuple("Network", "text shape is_large")
Way = namedtuple("Way", "opset input keeps_batch_norm half")

ALL_WAYS = [Way(*way) for way in itertools.product((13, 17, 21), ("bytes", "float"), (False, True), (False, True))]
# ONNX pads with the opposite side since version 19 of its operators, and of the three programs only ONNX Runtime does.
WRAPPING_WAYS = [way for way in ALL_WAYS if way.opset >= 19]
FEW_WAYS = [
    Way(13, "float", True, False),
    Way(17, "bytes", False, False),
    Way(21, "bytes", True, False),
    Way(13, "bytes", False, True),
    Way(17, "float", True, True),
    Way(21, "float", False, True),
]
ZOO = [
    Network("lenet5", (28, 28, 1), False),
    Network("mnist-cnn", (28, 28, 1), False),
    Network("mlp", (28, 28, 1), False),
    Network("tutorial", (32, 32, 3), False),
    Network("tutorial-bn", (32, 32, 3), False),
    Network("vgg16", (32, 32, 3), True),
    *(Network(name, (64, 64, 3), True) for name in ("resnet18", "resnet50", "mobilenet-v2")),
    *(Network(f"efficientnet-lite{size}", (64, 64, 3), True) for size in range(5)),
]
MORE = [
    # Windows that reach beyond counted padding, in one direction and in both.
    Network("conv(4)-avgpool(3, stride=2, padding=1, round=ceil)-flatten-linear(classes)", (16, 14, 3), False),
    Network("conv(4)-avgpool(2, stride=2, padding=(1,0,1,0), round=ceil)-flatten-linear(classes)", (16, 15, 3), False),
]
WRAPPED = Network("conv(6, padding=2, mode=circular)-relu-globalavgpool-linear(classes)", (9, 11, 3), False)


def odd():
    """The networks of the list ODD."""
    source = (ROOT / "hubel/src/onnx/tests.rs").read_text()
    body = source.split("const ODD: ", 1)[1].split("\n];", 1)[0]
    entries = re.findall(r'"([^"]+)",\s*\[(\d+), (\d+), (\d+)\]', body)
    texts = body.count('"') // 2
    if not entries or len(entries) != texts:
        sys.exit(f"the list ODD has {texts} networks, and {len(entries)} were understood")
    return [Network(text.replace("classes_", str(CLASSES)), tuple(map(int, shape)), False) for text, *shape in entries]


def hubel(program, *arguments):
    """The JSON object that hubel prints."""
    command = [program, *map(str, arguments), "--json", "--quiet"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise RuntimeError(f"hubel {arguments[0]}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def noise(random, shape, label):
    """Noise whose brightness and, for coloured pictures, hue depend on the class."""
    tint = 90 + 30 * np.cos(label + np.arange(shape[2]) * 2.0)
    return np.clip(random.normal(tint + 30, 55, shape), 0, 255).astype(np.uint8)


def save(pixels, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(path)


def trained(program, network, folder):
    """The folder of a model after some steps."""
    random = np.random.default_rng(1)
    for part, count in (("train", 6), ("val", 2), ("test", 1)):
        for label, number in itertools.product(range(CLASSES), range(count)):
            save(noise(random, network.shape, label), folder / "data" / part / f"class {label}" / f"{number}.png")
    height, width, channels = network.shape
    hubel(
        program, "train", folder / "data", "--model", network.text, "--input", f"{height}x{width}x{channels}", "--out", folder / "run",
        # Slow and smooth, so that no probability becomes 0.
        "--epochs", 10, "--batch-size", 14, "--learning-rate", 0.001, "--schedule", "cosine", "--label-smoothing", 0.2,
        "--augment", "none", "--keep", "last",
    )
    return folder / "run"


def answers(program, model, pictures, folder):
    """The logarithms of hubel's probabilities, [n, classes], and the names of the classes."""
    names = [folder / f"{place}.png" for place in range(len(pictures))]
    for name, pixels in zip(names, pictures):
        save(pixels, name)
    classes = hubel(program, "inspect", model)["class_names"]
    answer = hubel(program, "predict", model, *names, "--top", len(classes))
    rows = []
    for prediction in answer["predictions"]:
        if prediction["inverted"] or prediction["greyed"]:
            raise RuntimeError("hubel changed the pixels of a picture")
        of_class = dict(prediction["top"])
        if min(of_class.values()) < 1e-37:
            raise RuntimeError("a probability is too small for its logarithm")
        rows.append([math.log(of_class[name]) for name in classes])
    return np.array(rows), classes


class OnnxRuntime:
    name = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(self, images):
        return self.session.run(["logits"], {"image": images})[0]


class OpenVino:
    name = f"OpenVINO {version('openvino')}"

    def __init__(self, path):
        # Without it, OpenVINO computes in 16 bits on processors that have instructions for it.
        self.model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, images):
        return self.model([images])["logits"]


class Tract:
    name = f"tract {version('tract')}"

    def __init__(self, path):
        self.path = path

    def run(self, images):
        # tract plans for one size of batches.
        model = tract.onnx().load(self.path)
        kind = {"uint8": "u8", "float32": "f32"}[str(images.dtype)]
        model.set_input_fact(0, ",".join(map(str, images.shape)) + f",{kind}")
        return model.into_model().into_runnable().run([images])[0].to_numpy()


PEERS = [OnnxRuntime, OpenVino, Tract]


def inputs(file, pictures, way):
    """What the graph takes for these pictures."""
    if way.input == "bytes":
        return pictures
    preparation = json.loads(metadata(file)["hubel.preparation"])
    mean, std = (np.array(preparation[key], np.float32) for key in ("mean", "std"))
    normalised = (pictures.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))


def metadata(file):
    return {entry.key: entry.value for entry in file.metadata_props}


def centred(logits):
    return logits - logits.mean(axis=1, keepdims=True)


def difference(own, theirs, bound):
    """The largest difference as a part of the largest logit.

    Raises ValueError if it is too large, or if a class differs.
    """
    if theirs.shape != own.shape or not np.isfinite(theirs).all():
        raise ValueError(f"it gives {theirs.shape} values, or values that are not finite")
    largest = np.abs(theirs).max()
    worst = float(np.abs(centred(own) - centred(theirs)).max() / largest)
    if worst > bound:
        raise ValueError(f"the logits differ by {worst:.1e} of the largest one")
    best = np.sort(own, axis=1)
    is_clear = best[:, -1] - best[:, -2] > bound * largest
    if (own.argmax(axis=1) != theirs.argmax(axis=1))[is_clear].any():
        raise ValueError("it gives another class")
    return worst


def one_file(program, model, way, peers, is_large, pictures, answer, folder, notes):
    """Exports and compares one file; the differences by peer."""
    path = folder / "model.onnx"
    flags = ["--opset", way.opset, "--input", way.input]
    flags += ["--keep-batch-norm"] * way.keeps_batch_norm + ["--fp16"] * way.half
    named = " ".join(map(str, flags))
    # tract (0.23) takes minutes for each large network of 16 bits.
    peers = [peer for peer in peers if not (peer is Tract and way.half and is_large)]
    try:
        hubel(program, "export", model, "--onnx", path, *flags)
    except RuntimeError as problem:
        # hubel compares each file with the model before it writes it. Rounding to 16 bits may be too coarse for a model.
        kind = "refused" if "weights of 32 bits" in str(problem) else "FAILED"
        notes.append((kind, f"{named}: {problem}".replace(f"{folder}/", "")))
        return {}
    file, (logs, classes) = onnx.load(path), answer
    try:
        onnx.checker.check_model(str(path), full_check=True)
        if json.loads(metadata(file)["hubel.classes"]) != classes:
            raise ValueError("its classes have other names")
    except Exception as problem:
        notes.append(("FAILED", f"{named}: {problem}"))
        return {}
    temperature = float(metadata(file).get("hubel.temperature", 1))
    own = logs * temperature
    if way.half:
        # Compared with the model on other pictures, a file may pass although rounding is too coarse for these.
        with tempfile.TemporaryDirectory(dir=folder) as place:
            hubel(program, "import", path, "--out", place + "/run")
            rounded = answers(program, place + "/run", pictures, folder)[0] * temperature
        change = np.abs(centred(own) - centred(rounded)).max() / np.abs(centred(own)).max()
        if change > BOUNDS[True]:
            notes.append(("coarse", f"{named}: rounding the weights changes hubel's own logits by {change:.1e}; compared with these"))
            own = rounded
    images, worst = inputs(file, pictures, way), {}
    for peer in peers:
        try:
            runner = peer(str(path))
            worst[peer.name] = max(difference(own[:batch], runner.run(images[:batch]), BOUNDS[way.half]) for batch in BATCHES)
        except Exception as problem:
            notes.append(("FAILED", f"{peer.name}, {named}: {str(problem).splitlines()[0]}"))
    return worst


def one_network(program, network, ways, peers, say):
    """Compares all files of a network; the number of files, refused ones and failures."""
    notes, worst, start = [], {}, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        shape = network.shape or (224, 224, 3)
        random = np.random.default_rng(2)
        pictures = np.stack([noise(random, shape, label) for label in range(max(BATCHES))])
        try:
            # The embedded network is exported as it is, with its thousand classes; all others are trained here.
            model = network.text if network.shape is None else trained(program, network, folder)
            answer = answers(program, model, pictures, folder)
        except RuntimeError as problem:
            say(f"    FAILED {network.text}: {problem}")
            return np.array([0, 0, 1])
        for way in ways:
            for peer, value in one_file(program, model, way, peers, network.is_large, pictures, answer, folder, notes).items():
                key = (peer, way.half)
                worst[key] = max(worst.get(key, 0), value)
    places = [(peer.name, half) for peer in PEERS for half in (False, True)]
    of_peers = "".join(f"  {worst[place]:8.1e}" if place in worst else f"  {'—':>8}" for place in places)
    say(f"{of_peers}  {len(ways):5}  {time.monotonic() - start:4.0f} s  {network.text}{'' if network.shape else ' (part of hubel, as it is)'}")
    for kind, note in notes:
        say(f"    {kind} {note}")
    kinds = [kind for kind, _ in notes]
    return np.array([len(ways), kinds.count("refused"), kinds.count("FAILED")])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("hubel", nargs="?", default=str(ROOT / "target/release/hubel"))
    arguments.add_argument("--only", default="", help="only networks whose text contains this")
    arguments.add_argument("--out", type=Path, help="also write the output to this file")
    given = arguments.parse_args()
    out = given.out.open("w") if given.out else None

    def say(line):
        print(line, flush=True)
        if out:
            print(line, file=out, flush=True)

    say(f"{time.strftime('%F')}  {', '.join(peer.name for peer in PEERS)}, onnx {onnx.__version__}, Python {platform.python_version()}")
    say("The largest difference of a logit, as a part of the largest logit, over all files of a network: with f32, and with --fp16.\n")
    heads = "".join(f"  {peer.name.split()[0]:>8}  {'fp16':>8}" for peer in PEERS)
    say(f"{heads}  files   time  network")
    networks = [(network, FEW_WAYS if network.is_large else ALL_WAYS, PEERS) for network in ZOO + odd() + MORE]
    networks += [(WRAPPED, WRAPPING_WAYS, [OnnxRuntime]), (Network("efficientnet-lite0", None, True), FEW_WAYS, PEERS)]
    counts = np.zeros(3, int)
    for network, ways, peers in networks:
        if given.only in network.text:
            counts += one_network(given.hubel, network, ways, peers, say)
    files, refused, failures = counts
    say(f"\n{files} files: {refused} refused by hubel's own comparison, {failures} failures")
    sys.exit(int(failures > 0 or files == 0))


if __name__ == "__main__":
    main()
