#!/usr/bin/env python3
"""Do graphs that resize pictures (`hubel export --resize-inside`) give the answers of `hubel predict` for pictures of any size?

    PYTHON scripts/onnx-peers/sizes.py [HUBEL] [--out FILE]

For each way to fit a picture, with and without colour, a network is trained on pictures of noise. Then pictures of many sizes, noise with soft colours, go to hubel as PNG files, and to
ONNX Runtime, OpenVINO and tract as bytes. The logits are compared as in compare.py; allowed are 1e-4 of the largest logit: not one level of a resized
picture may differ.
"""
import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from compare import PEERS, ROOT, Network, answers, difference, hubel, metadata, noise, trained

BOUND = 1e-4
TEXT = "conv(8, padding=1)-batchnorm-relu-pool-conv(12)-batchnorm-relu-globalavgpool-linear(classes)"
SIZES = [(24, 32), (48, 64), (50, 50), (31, 200), (200, 31), (9, 7), (1, 1), (1, 90), (333, 251), (600, 1000)]
NETWORKS = [(resize, Network(TEXT, (24, 32, channels), False)) for resize in ("letterbox", "crop", "stretch") for channels in (3, 1)]


def picture(random, size, channels, label):
    """Soft colours below noise."""
    soft = noise(random, (4, 5, channels), label)
    soft = Image.fromarray(soft[:, :, 0] if channels == 1 else soft).resize((size[1], size[0]), Image.BICUBIC)
    soft = np.asarray(soft, float).reshape(*size, channels)
    return np.clip(soft + random.normal(0, 20, soft.shape), 0, 255).astype(np.uint8)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("hubel", nargs="?", default=str(ROOT / "target/release/hubel"))
    arguments.add_argument("--out", type=Path, help="also write the output to this file")
    given = arguments.parse_args()
    out, failures = given.out.open("w") if given.out else None, 0

    def say(line):
        print(line, flush=True)
        if out:
            print(line, file=out, flush=True)

    say(f"{time.strftime('%F')}  {', '.join(peer.name for peer in PEERS)}")
    say("The largest difference of a logit from those of `hubel predict`, as a part of the largest logit.\n")
    for resize, network in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            model = trained(given.hubel, network, folder, "--resize", resize)
            for opset in (13, 21):
                path, worst = folder / "model.onnx", {}
                hubel(given.hubel, "export", model, "--onnx", path, "--resize-inside", "--opset", opset)
                file = onnx.load(path)
                onnx.checker.check_model(str(path), full_check=True)
                temperature = float(metadata(file).get("hubel.temperature", 1))
                random = np.random.default_rng(4)
                for label, size in enumerate(SIZES):
                    pixels = picture(random, size, network.shape[2], label % 7)
                    own = answers(given.hubel, model, [pixels], folder)[0] * temperature
                    for peer in PEERS:
                        try:
                            worst[peer.name] = max(worst.get(peer.name, 0), difference(own, peer(str(path)).run(pixels[None]), BOUND))
                        except Exception as problem:
                            failures += 1
                            say(f"    FAILED {peer.name}, {resize}, opset {opset}, {size}: {str(problem).splitlines()[0]}")
                found = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
                say(f"{resize}, {network.shape[2]} channels, opset {opset}, {len(SIZES)} sizes: {found}")
    say(f"\n{failures} failures")
    sys.exit(int(failures > 0))


if __name__ == "__main__":
    main()
