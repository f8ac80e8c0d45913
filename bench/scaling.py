"""Measures the time per image of a small network for growing batches and growing images, for hubel and PyTorch in turns.

usage: scaling.py [--hubel PATH] [--mode train,infer] [--batches 1,4,16] [--sides 32,64] [--threads N] [--rounds R] [--seconds S]

The network is `small` of nets.py: four 3×3 convolutions, two max pools, a global average. Its work is proportional to batch × side², so
the time per 32×32 pixels should not grow. If it is more than 15 % above the best of the
smaller sizes, the line ends in "grows".
"""
import argparse, pathlib, statistics, sys
import record
from compare import lines
from nets import SMALL

HERE = pathlib.Path(__file__).resolve().parent
GROWTH = 1.15


def times(args, mode, batch, side):
    """Median milliseconds of hubel and PyTorch."""
    found = {"hubel": [], "pytorch": []}
    common = ["--batch", str(batch), "--threads", str(args.threads), "--seconds", str(args.seconds)]
    for _ in range(args.rounds):
        own = lines([args.hubel, "bench", mode, "--net", SMALL, "--input", f"{side}x{side}x3", *common, "--json"])
        found["hubel"].append(own[0]["median_ms"])
        peer = lines([sys.executable, HERE / "torch_bench.py", "small", mode, "--side", str(side), *common])
        found["pytorch"].append(peer[0]["median_ms"])
    return {peer: statistics.median(values) for peer, values in found.items()}


def sweep(say, args, mode, points):
    """One line for each (batch, side); gives hubel's points at which the time grows."""
    best, grown = {}, []
    for batch, side in points:
        cells = []
        for peer, milliseconds in times(args, mode, batch, side).items():
            each = 1e3 * milliseconds / batch / (side / 32) ** 2
            grows = each > GROWTH * best.get(peer, each)
            best[peer] = min(each, best.get(peer, each))
            cells.append(f"{milliseconds:11.3f} ms {each:9.2f} µs {'grows' if grows else '':5}")
            if grows and peer == "hubel":
                grown.append(f"{mode}, {batch} images of {side}×{side}: {each / best[peer] - 1:.0%} above the best of the smaller ones")
        say(f"{mode:5} {batch:5} {side:5}²  {'  '.join(cells)}".rstrip())
    return grown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.arguments(parser)
    numbers = lambda text: sorted(int(word) for word in text.split(",") if word)
    parser.add_argument("--mode", default="train,infer")
    parser.add_argument("--batches", type=numbers, default=[1, 4, 16, 64, 256, 512], help="of images of 32×32")
    parser.add_argument("--sides", type=numbers, default=[32, 64, 128, 256, 512], help="of the images of a batch of --batch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    args = parser.parse_args()
    with record.record("scaling", args) as say:
        say(SMALL)
        say(f"\n{'mode':5} {'batch':>5} {'side':>6}  {'hubel':>14} {'per 32×32':>12}        {'PyTorch':>14} {'per 32×32':>12}")
        grown = []
        for mode in args.mode.split(","):
            grown += sweep(say, args, mode, [(batch, 32) for batch in args.batches])
            grown += sweep(say, args, mode, [(args.batch, side) for side in args.sides])
        say()
        say("hubel's time per image grows nowhere by more than 15 %" if not grown else "hubel's time per image grows:")
        for line in grown:
            say(f"  {line}")


if __name__ == "__main__":
    main()
