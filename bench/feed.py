"""How many pictures per second become batches? hubel, compared with torchvision's ImageFolder and DataLoader.

usage: feed.py [--hubel PATH] [--cifar FOLDER] [--photos N] [--threads N] [--rounds R] [--seconds S]

There are two kinds of data: small JPEG files in class folders (CIFAR-10 as files; --cifar names the folder that contains `train`), and generated photographs of
1000x800 pixels. Both programs read every file again, decode it, resize it, flip and crop it at random, and
normalise it, with the same number of workers. They take turns; the result is the median of the rounds.
"""
import argparse, pathlib, statistics, tempfile, time
import record
from compare import lines

AUGMENTATION = "flip, crop(0.125, mode=reflect)"


def make_photos(folder, count):
    """`count` JPEG files that compress like photographs: smooth areas, edges and some grain."""
    import numpy
    from PIL import Image

    random = numpy.random.default_rng(1)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (10, 12, 3), dtype=numpy.uint8))
        picture = numpy.asarray(coarse.resize((1000, 800), Image.Resampling.BICUBIC)).astype(numpy.int16)
        top, left = random.integers(0, 400), random.integers(0, 500)
        picture[top : top + 300, left : left + 400] += random.integers(-60, 60, 3).astype(numpy.int16)
        picture += random.normal(0, 6, picture.shape).astype(numpy.int16)
        path = folder / f"class{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(numpy.uint8)).save(path, quality=90)


def torchvision_speed(args, folder, side):
    """Images per second of ImageFolder and DataLoader, over whole epochs; the start of the workers is not counted."""
    import torch
    from torchvision import datasets, transforms

    torch.set_num_threads(1)
    transform = transforms.Compose(
        [
            transforms.Resize(side),
            transforms.CenterCrop(side),
            transforms.RandomHorizontalFlip(),
            transforms.RandomCrop(side, padding=side // 8, padding_mode="reflect"),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        ]
    )
    dataset = datasets.ImageFolder(folder, transform)
    loader = torch.utils.data.DataLoader(dataset, batch_size=128, shuffle=True, num_workers=args.threads, persistent_workers=True)
    images, start = 0, None
    while start is None or time.perf_counter() - start < args.seconds:
        for batch, _ in loader:
            images += len(batch) if start else 0
            start = start or time.perf_counter()
    return images / (time.perf_counter() - start)


def hubel_speed(args, folder, side):
    """Images per second of `hubel bench data`, which keeps nothing in memory."""
    command = [args.hubel, "bench", "data", str(folder), "--input", f"{side}x{side}x3", "--augment", AUGMENTATION]
    command += ["--val", "0", "--test", "0", "--threads", str(args.threads), "--duration", str(args.seconds)]
    return lines([*command, "--json", "--quiet"])[0]["images_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.arguments(parser)
    parser.add_argument("--cifar", type=pathlib.Path, help="a folder that holds `train` with class folders of CIFAR-10 as files")
    parser.add_argument("--photos", type=int, default=500, help="how many photographs to make")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8)
    args = parser.parse_args()
    with record.record("feed", args) as say, tempfile.TemporaryDirectory() as made:
        photos = pathlib.Path(made)
        make_photos(photos, args.photos)
        sets = [("1000×800 JPEG", photos, 64), ("1000×800 JPEG", photos, 224)]
        if args.cifar:
            sets.insert(0, ("32×32 JPEG", args.cifar / "train", 32))
        say(f"images/s, {args.threads} workers each: read, decoded, brought to the size, {AUGMENTATION}, normalised")
        say(f"{'files':<14} {'to':>5} {'hubel':>9} {'torchvision':>12} {'ratio':>6}")
        for name, folder, side in sets:
            ours, theirs = [], []
            for _ in range(args.rounds):
                ours.append(hubel_speed(args, folder, side))
                theirs.append(torchvision_speed(args, folder, side))
            ratios = [a / b for a, b in zip(ours, theirs)]
            speeds = f"{statistics.median(ours):>9.0f} {statistics.median(theirs):>12.0f} {statistics.median(ratios):>6.2f}"
            say(f"{name:<14} {side:>4}² {speeds}  ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
