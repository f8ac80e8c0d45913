"""Inference of imported networks in hubel and in ONNX Runtime, in turns: the median time of a batch of each, and their ratio (above 1: hubel is faster).

    python speed.py HUBEL FOLDER [NAME,NAME...]

FOLDER has files NAME-17.onnx of torchvision_networks.py.
"""
import json
import os
import subprocess
import sys
import time

import numpy as np
import onnxruntime

HUBEL, FOLDER = sys.argv[1:3]
NAMES = (sys.argv[3] if len(sys.argv) > 3 else "resnet50,mobilenet_v3_large,efficientnet_b0,densenet121").split(",")
THREADS, SECONDS, TURNS = os.cpu_count(), 2, 3


def hubel(name, batch):
    command = [HUBEL, "bench", "infer", os.path.join(FOLDER, "runs", name), "--batch", str(batch), "--seconds", str(SECONDS), "--threads", str(THREADS), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["median_ms"]


def onnx_runtime(name, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(os.path.join(FOLDER, f"{name}-17.onnx"), options)
    pictures = {session.get_inputs()[0].name: np.random.rand(batch, 3, 224, 224).astype(np.float32)}
    for _ in range(2):
        session.run(None, pictures)
    times, end = [], time.time() + SECONDS
    while time.time() < end or len(times) < 3:
        start = time.perf_counter()
        session.run(None, pictures)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


print(f"ONNX Runtime {onnxruntime.__version__}, {THREADS} threads; hubel / ONNX Runtime in ms, and the ratio, {TURNS} turns")
for name in NAMES:
    model = os.path.join(FOLDER, "runs", name)
    if not os.path.exists(model):
        subprocess.run([HUBEL, "import", os.path.join(FOLDER, f"{name}-17.onnx"), "--out", model, "--quiet"], check=True)
    for batch in (1, 16):
        turns = [(hubel(name, batch), onnx_runtime(name, batch)) for _ in range(TURNS)]
        print(f"{name}, batch {batch}: " + ", ".join(f"{own:.1f} / {other:.1f} = {other / own:.2f}" for own, other in turns), flush=True)
