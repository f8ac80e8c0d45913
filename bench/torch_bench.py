"""Times PyTorch on one network, in the fastest of its usual configurations, and prints one JSON object.

usage: torch_bench.py NET train|infer [--batch N] [--threads N] [--seconds S] [--side N] [--compile]
"""
import argparse, json, resource, time
import torch
import torch.nn.functional as F
from nets import NETS


def median_ms(step, seconds):
    for _ in range(3):
        step()
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    times.sort()
    return 1e3 * times[len(times) // 2], len(times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=NETS)
    parser.add_argument("mode", choices=["train", "infer"])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--side", type=int, help="height and width of the images (default: the net's own)")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    build, batch, shape = NETS[args.net]
    batch = args.batch or batch
    if args.side:
        shape = (shape[0], args.side, args.side)
    best = None
    for layout in (torch.contiguous_format, torch.channels_last):
        model = build().to(memory_format=layout)
        images = torch.randn(batch, *shape).contiguous(memory_format=layout)
        labels = torch.randint(0, 10, (batch,))
        run = torch.compile(model) if args.compile else model
        if args.mode == "train":
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
            model.train()

            def step():
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(run(images), labels).backward()
                optimizer.step()

            milliseconds, runs = median_ms(step, args.seconds)
        else:
            model.eval()
            with torch.inference_mode():
                milliseconds, runs = median_ms(lambda: run(images), args.seconds)
        name = "channels_last" if layout is torch.channels_last else "default"
        if best is None or milliseconds < best["median_ms"]:
            best = dict(peer="pytorch" + ("-compile" if args.compile else ""), layout=name, median_ms=milliseconds, runs=runs)
    best.update(net=args.net, mode=args.mode, batch=batch, threads=args.threads,
                images_per_second=1e3 * batch / best["median_ms"],
                peak_memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(json.dumps(best))


if __name__ == "__main__":
    main()
