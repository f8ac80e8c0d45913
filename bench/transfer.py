"""Is fine-tuning the embedded backbone better than training from scratch? Trains on the same pictures both ways.

usage: transfer.py [--hubel PATH] [--seeds N] [--threads N] [--budget SECONDS] FOLDER … [-- FLAGS of `hubel train`]

Each folder contains `train/` and `test/` with class folders. For each folder the script trains: from scratch with the defaults; from scratch with as many epochs
as fit into the budget, at most 150; from efficientnet-lite0 with frozen layers, which takes less than the budget; and, with --all, with the defaults of `hubel train`
that then train all layers (500 pictures or more), whatever time that takes. Prints the mean test accuracy over the seeds, and the seconds of the whole command.
Folders whose names differ only in a final -s1, -s2 … are draws of the same data; their mean is printed too.
"""
import argparse, collections, re, statistics, tempfile
import record
from compare import lines

MOST_EPOCHS = 150


def train(args, folder, seed, start, more=()):
    """Test accuracy in percent, and seconds of training and test."""
    with tempfile.TemporaryDirectory() as out:
        command = [args.hubel, "train", folder, "--from", start, "--seed", str(seed), "--threads", str(args.threads), "--out", out, "--json", "--quiet"]
        answer = lines(command + list(more) + args.flags)[0]
    return 100 * answer["test_accuracy"], answer["seconds"], len(answer["epochs"])


def ways(args, folder, seed):
    """Accuracy and seconds of each way."""
    accuracy, seconds, epochs = train(args, folder, seed, "none")
    yield "nothing", accuracy, seconds
    fill = min(MOST_EPOCHS, int(epochs * args.budget / seconds))
    if fill > epochs:
        accuracy, seconds, _ = train(args, folder, seed, "none", ["--epochs", str(fill)])
    yield "nothing, all the time", accuracy, seconds
    accuracy, seconds, _ = train(args, folder, seed, "efficientnet-lite0", ["--freeze", "all"])
    yield "the backbone as it is", accuracy, seconds
    if args.all:
        accuracy, seconds, _ = train(args, folder, seed, "efficientnet-lite0")
        yield "the backbone", accuracy, seconds


def main():
    words, flags = record.words_and_flags()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.arguments(parser)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--budget", type=float, default=120)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("folders", nargs="+")
    args = parser.parse_args(words)
    args.flags = flags
    with record.record("transfer", args) as say:
        draws = collections.defaultdict(list)
        for folder in args.folders:
            name = folder.rstrip("/").split("/")[-1] if not re.search(r"fold\d+/?$", folder) else "/".join(folder.rstrip("/").split("/")[-2:])
            found = collections.defaultdict(list)
            for seed in range(1, args.seeds + 1):
                for way, accuracy, seconds in ways(args, folder, seed):
                    found[way].append((accuracy, seconds))
            for way, runs in found.items():
                accuracy, seconds = (statistics.mean(column) for column in zip(*runs))
                draws[re.sub(r"-s\d+(?=-|$)|/fold\d+$", "", name), way].append(accuracy)
                say(f"{name:22} from {way:22} {accuracy:6.2f} %  {seconds:6.1f} s")
        say()
        for (name, way), accuracies in draws.items():
            spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
            say(f"{name:22} from {way:22} {statistics.mean(accuracies):6.2f} %{spread}, mean of {len(accuracies)}")


if __name__ == "__main__":
    main()
