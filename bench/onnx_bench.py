"""Times ONNX Runtime and OpenVINO (f32) on the inference of one network; prints one JSON object per peer.

usage: onnx_bench.py NET [--batch N] [--threads N] [--seconds S]
"""
import argparse, io, json, time, warnings
import numpy, torch
import onnxruntime, openvino
from nets import NETS

warnings.filterwarnings("ignore")


def median_ms(step, seconds):
    for _ in range(3):
        step()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    times.sort()
    return 1e3 * times[len(times) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=NETS)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    build, batch, shape = NETS[args.net]
    batch = args.batch or batch
    file = io.BytesIO()
    torch.onnx.export(build().eval(), (torch.randn(batch, *shape),), file, input_names=["x"], output_names=["y"], opset_version=17, dynamo=False)
    model = file.getvalue()
    x = numpy.random.randn(batch, *shape).astype("float32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    report("onnxruntime", args, batch, median_ms(lambda: session.run(None, {"x": x}), args.seconds))
    compiled = openvino.Core().compile_model(openvino.Core().read_model(io.BytesIO(model)), "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    report("openvino", args, batch, median_ms(lambda: request.infer({0: x}), args.seconds))


def report(peer, args, batch, milliseconds):
    print(json.dumps(dict(peer=peer, net=args.net, mode="infer", batch=batch, threads=args.threads, median_ms=milliseconds,
                          images_per_second=1e3 * batch / milliseconds)))


if __name__ == "__main__":
    main()
