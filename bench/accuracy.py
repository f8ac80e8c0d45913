"""Does Winograd cost accuracy? Runs the same trainings with and without it (`--precise`), for several seeds, in turns.

usage: accuracy.py [--hubel PATH] [--seeds N] [--threads N] [-- FLAGS of `hubel train`]

Prints the test accuracy of each run, then the mean and standard deviation of both ways, and their difference in standard errors.
"""
import argparse, math, statistics, tempfile
import record
from compare import lines


def accuracy(args, seed, precise):
    """Test accuracy in percent, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [args.hubel, "train", "--seed", str(seed), "--threads", str(args.threads), "--out", folder, "--json", "--quiet"]
        answer = lines(command + ["--precise"] * precise + args.flags)[0]
    return 100 * answer["test_accuracy"], answer["seconds"]


def main():
    words, flags = record.words_and_flags()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.arguments(parser)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args(words)
    args.flags = flags
    with record.record("accuracy", args) as say:
        say(f"{'seed':>4}  {'winograd':>9} {'time':>8}  {'precise':>9} {'time':>8}")
        found = {False: [], True: []}
        for seed in range(1, args.seeds + 1):
            cells = []
            for precise in (False, True):
                percent, seconds = accuracy(args, seed, precise)
                found[precise].append(percent)
                cells.append(f"{percent:7.2f} % {seconds:6.1f} s")
            say(f"{seed:4}  {'  '.join(cells)}")
        say()
        deviations = {}
        for precise, name in ((False, "winograd"), (True, "precise")):
            values = found[precise]
            deviations[precise] = statistics.stdev(values) if len(values) > 1 else math.nan
            say(f"{name:9} {statistics.mean(values):.3f} ± {deviations[precise]:.3f} % (mean ± standard deviation of {len(values)} seeds)")
        difference = statistics.mean(found[False]) - statistics.mean(found[True])
        error = math.hypot(*deviations.values()) / math.sqrt(args.seeds)
        note = f", {abs(difference) / error:.1f} standard errors" if error > 0 else ""
        say(f"winograd − precise = {difference:+.3f} percentage points{note}")


if __name__ == "__main__":
    main()
