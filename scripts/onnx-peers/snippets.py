#!/usr/bin/env python3
"""Do the examples in docs/onnx.md run, and give the answer of `hubel predict`?

    PYTHON scripts/onnx-peers/snippets.py [HUBEL] [--headers FOLDER]

Takes the examples out of the Markdown as they are, and runs them in a folder with a trained model `photos.onnx` and a picture of its size. The JavaScript one needs
`npm install` in scripts/onnx-peers, and the web page Chromium (/usr/bin/chromium, or HUBEL_CHROMIUM); the C++ one needs g++, nlohmann/json and FOLDER with ONNX Runtime's headers, and is linked with the library of the Python package. An
example whose programs are missing is reported as not run, and the exit code is then 1.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from compare import CLASSES, ROOT, Network, hubel, noise, save, trained

DOCUMENT = ROOT / "docs/onnx.md"
HERE = Path(__file__).resolve().parent
NETWORK = Network("conv(8, padding=1)-batchnorm-relu-pool-flatten-linear(classes)", (24, 32, 3), False)


class Missing(Exception):
    """A program that an example needs."""


def example(language):
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    if len(blocks) != 1:
        sys.exit(f"{DOCUMENT} has {len(blocks)} examples in {language}")
    return blocks[0]


def output(*command, folder):
    result = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip()[-1500:])
    return result.stdout.strip()


def of_python(folder, **_):
    (folder / "look.py").write_text(example("python"))
    return output(sys.executable, "look.py", folder=folder)


def of_javascript(folder, **_):
    if not (HERE / "node_modules").exists():
        raise Missing(f"npm install in {HERE.relative_to(ROOT)}")
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    (folder / "look.mjs").write_text(example("javascript"))
    return output("node", "look.mjs", folder=folder)


def of_page(folder, program, **_):
    if not (HERE / "node_modules").exists():
        raise Missing(f"npm install in {HERE.relative_to(ROOT)}")
    site = folder / "site"
    site.mkdir()
    (site / "onnxruntime-web").symlink_to(HERE / "node_modules/onnxruntime-web/dist")
    (site / "look.html").write_text(example("html"))
    (site / "photo.png").symlink_to(folder / "photo.png")
    hubel(program, "export", folder / "run", "--onnx", site / "photos.onnx", "--resize-inside")
    (site / "photos.json").write_text(json.dumps(hubel(program, "inspect", folder / "run")))
    return output("node", HERE / "page.js", site, folder=HERE)


def of_cxx(folder, headers, **_):
    if headers is None or not shutil.which("g++"):
        raise Missing("g++ and --headers")
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    (folder / "look.cpp").write_text(example("cpp"))
    linked = folder / "libonnxruntime.so.1"
    linked.symlink_to(library)
    output("g++", "-std=c++17", "look.cpp", f"-I{headers.resolve()}", linked, f"-Wl,-rpath,{folder}", "-o", "look", folder=folder)
    return output("./look", folder=folder)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("hubel", nargs="?", default=str(ROOT / "target/release/hubel"))
    arguments.add_argument("--headers", type=Path, help="the folder of onnxruntime_cxx_api.h")
    given = arguments.parse_args()
    program, all_agree = os.path.abspath(given.hubel), True
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = trained(program, NETWORK, folder)
        hubel(program, "export", model, "--onnx", folder / "photos.onnx")
        pixels = noise(np.random.default_rng(3), NETWORK.shape, CLASSES // 2)
        save(pixels, folder / "photo.png")
        (folder / "photo.rgb").write_bytes(pixels.tobytes())
        (answer,) = hubel(program, "predict", model, folder / "photo.png")["predictions"]
        print(f"{time.strftime('%F')}  hubel: {answer['class']} {answer['probability']}", flush=True)
        for name, run in (("Python", of_python), ("JavaScript", of_javascript), ("web page", of_page), ("C++", of_cxx)):
            try:
                label, probability = run(folder, program=program, headers=given.headers).rsplit(" ", 1)
                agrees = label == answer["class"] and abs(float(probability) - answer["probability"]) < 1e-4
                print(f"{name}: {label} {probability}, {'the same' if agrees else 'ANOTHER ANSWER'}", flush=True)
            except Missing as what:
                agrees = False
                print(f"{name}: not run; it needs {what}", flush=True)
            except RuntimeError as problem:
                agrees = False
                print(f"{name}: FAILED\n{problem}", flush=True)
            all_agree &= agrees
    sys.exit(not all_agree)


if __name__ == "__main__":
    main()
