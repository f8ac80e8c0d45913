"""Compares hubel and its peers on the same networks, in turns on the same machine. The ratio is peer time / hubel time (above 1: hubel is faster).

usage: compare.py [--hubel PATH] [--nets a,b] [--mode train,infer] [--peers torch,onnx] [--batch N] [--threads N] [--rounds R] [--seconds S] [--json FILE]

Calls `hubel bench train|infer --net NET --batch N --threads N --seconds S --json`, which prints one JSON object on stdout, then PyTorch
(torch_bench.py) and, for inference, ONNX Runtime and OpenVINO (onnx_bench.py). README.md says how to set them up.
"""
import argparse, json, pathlib, statistics, subprocess, sys
import record

HERE = pathlib.Path(__file__).resolve().parent
BATCH = {"lenet5": 64, "mnist-cnn": 128, "tutorial": 128, "vgg16": 64, "resnet18": 16, "mobilenet-v2": 16, "efficientnet-lite0": 16}


def lines(command):
    """The JSON objects that the command prints."""
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{run.stderr[-2000:]}")
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


def measure(hubel, net, mode, common, rounds, peers):
    """All times and the last peak memory of each peer."""
    times, memory = {}, {}
    for _ in range(rounds):
        found = lines([hubel, "bench", mode, "--net", net, *common, "--json"])
        for row in found:
            row.setdefault("peer", "hubel")
        if "torch" in peers:
            found += lines([sys.executable, HERE / "torch_bench.py", net, mode, *common])
        if "onnx" in peers and mode == "infer":
            found += lines([sys.executable, HERE / "onnx_bench.py", net, *common])
        for row in found:
            times.setdefault(row["peer"], []).append(row["median_ms"])
            memory[row["peer"]] = row.get("peak_memory_bytes", 0)
    return times, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.arguments(parser)
    parser.add_argument("--nets", default=",".join(BATCH))
    parser.add_argument("--mode", default="train,infer")
    parser.add_argument("--peers", default="torch,onnx", help="torch: PyTorch; onnx: ONNX Runtime and OpenVINO")
    parser.add_argument("--batch", type=int, help="for every net (default: the net's own; inference also runs batch 1)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--json", help="also write all rows here")
    args = parser.parse_args()
    rows = []
    with record.record("compare", args) as say:
        say(f"{'mode':5} {'network':13} {'batch':>5}  {'peer':12} {'median ms':>11}  {'fastest':>10}  {'slowest':>10}  {'ratio':>6}  {'MB':>6}")
        for mode in args.mode.split(","):
            for net in args.nets.split(","):
                for batch in sorted({args.batch or BATCH[net]} | ({1} if mode == "infer" and not args.batch else set())):
                    common = ["--batch", str(batch), "--threads", str(args.threads), "--seconds", str(args.seconds)]
                    times, memory = measure(args.hubel, net, mode, common, args.rounds, args.peers.split(","))
                    own = statistics.median(times["hubel"])
                    for peer, values in times.items():
                        middle = statistics.median(values)
                        row = dict(mode=mode, net=net, batch=batch, threads=args.threads, peer=peer, median_ms=round(middle, 3),
                                   low_ms=round(min(values), 3), high_ms=round(max(values), 3), ratio=round(middle / own, 2),
                                   peak_memory_mb=round(memory[peer] / 2**20))
                        rows.append(row)
                        say(f"{mode:5} {net:13} {batch:5}  {peer:12} {row['median_ms']:11.3f}  {row['low_ms']:10.3f}  {row['high_ms']:10.3f}"
                            f"  {row['ratio']:5.2f}x  {row['peak_memory_mb'] or '':>6}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
