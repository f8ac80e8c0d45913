"""Plants copies of pictures beside the originals and counts which of them `hubel check` finds.

    python bench/near_duplicates.py --hubel target/release/hubel --sheet sheets/ photos/ emoji/

Each argument is a folder of class folders (`photos/cat/1.jpg`, or `photos/train/cat/1.jpg`). The script measures two things for each:
which pairs of the original data `check` reports as the same picture (a contact sheet in `--sheet` shows them side by side, for
inspection); and, of 200 copies of each kind that are added to the data, how many `check` reports together with
their originals. Copies are encoded again as JPEG of quality 75, resized to 80 % and back, made 10 % brighter or darker, or cropped by
2 % of each side (at least one pixel, at random sides). Needs Pillow.

With `--features efficientnet-lite0`, the features of that model are used instead: for several distances, how many pairs of the data are nearer,
and how many of the planted copies are nearer to their originals. The sheet shows the nearest pairs. Needs NumPy.
"""
import argparse
import io
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageEnhance

ENDINGS = {".png", ".jpg", ".jpeg"}
TRANSPARENT = ("RGBA", "LA", "P")
DISTANCES = (0.02, 0.05, 0.08, 0.1)
SAME = ("label-conflict", "split-leak", "exact-duplicate", "near-duplicate")


def opened(path):
    """The picture on white paper."""
    picture = Image.open(path)
    if picture.mode in TRANSPARENT:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture).convert("RGB")
    return picture


def coded(picture, _):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    return Image.open(file)


def resized(picture, _):
    smaller = [max(1, round(side * 0.8)) for side in picture.size]
    return picture.resize(smaller, Image.BILINEAR).resize(picture.size, Image.BILINEAR)


def brightened(picture, stream):
    return ImageEnhance.Brightness(picture).enhance(stream.choice([0.9, 1.1]))


def cropped(picture, stream):
    width, height = picture.size
    across, down = max(1, round(width * 0.02)), max(1, round(height * 0.02))
    left, top = stream.randint(0, across), stream.randint(0, down)
    return picture.crop((left, top, width - across + left, height - down + top))


CHANGES = {"coded": coded, "resized": resized, "brightened": brightened, "cropped": cropped}


def findings(hubel, folder):
    answer = subprocess.run([hubel, "check", folder, "--json"], capture_output=True, text=True, check=False)
    if not answer.stdout:
        raise SystemExit(answer.stderr)
    return json.loads(answer.stdout)["findings"]


def groups(found):
    """The paths of each group of the same picture; a group may be both a conflict and a leak."""
    same = {tuple(sorted(finding["paths"])) for finding in found if finding["kind"] in SAME}
    return sorted(same)


def sheet(pairs, target, columns=8):
    """Pairs side by side, 64 pixels high."""
    rows = (len(pairs) + columns - 1) // columns
    paper = Image.new("RGB", (columns * 140, max(1, rows) * 72), "grey")
    for place, pair in enumerate(pairs):
        for side, path in enumerate(pair):
            picture = opened(path).convert("RGB").resize((64, 64))
            paper.paste(picture, (place % columns * 140 + side * 66, place // columns * 72))
    paper.save(target)


def plant(source, target, count):
    """Copies the data, with `count` copies of each kind beside their originals: {copy: (kind, original)}."""
    pictures = pictures_in(source)
    stream = random.Random(1)
    picked = stream.sample(pictures, min(count, len(pictures)))
    shutil.copytree(source, target)
    # Copies lie on white paper, so the originals do.
    for path in pictures:
        if Image.open(path).mode in TRANSPARENT:
            opened(path).save(target / path.relative_to(source))
    planted = {}
    for change, make in CHANGES.items():
        for number, path in enumerate(picked):
            original = target / path.relative_to(source)
            copy = original.with_name(f"{original.stem}-{change}-{number}.png")
            make(opened(path), stream).save(copy)
            planted[str(copy)] = (change, str(original))
    return planted


def pictures_in(source):
    return sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)


def measure(hubel, source, count, sheets):
    source = Path(source)
    found = findings(hubel, source)
    reported = groups(found)
    pairs = [(group[0], other) for group in reported for other in group[1:]]
    alike = sum(finding["kind"] == "look-alike" for finding in found)
    grave = {kind: sum(finding["kind"] == kind for finding in found) for kind in SAME[:2]}
    if sheets:
        sheets = Path(sheets)
        sheets.mkdir(parents=True, exist_ok=True)
        shown = pairs if len(pairs) <= 160 else random.Random(3).sample(pairs, 160)
        sheet(shown, sheets / f"{source.name}.png")
    shares = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / source.name
        planted = plant(source, target, count)
        together = {}
        for number, group in enumerate(groups(findings(hubel, target))):
            for path in group:
                together.setdefault(path, set()).add(number)
        for change in CHANGES:
            copies = [(copy, original) for copy, (of, original) in planted.items() if of == change]
            met = sum(bool(together.get(copy, set()) & together.get(original, set())) for copy, original in copies)
            shares[change] = 100 * met / len(copies)
    print(
        f"{source.name:<16}{len(pictures_in(source)):>8,}{len(reported):>8}{len(pairs):>8}{grave['label-conflict']:>10}{grave['split-leak']:>7}{alike:>8}"
        + "".join(f"{shares[change]:>12.1f}" for change in CHANGES),
        flush=True,
    )


def measure_features(hubel, model, source, count, sheets):
    """The same by the distance of features."""
    import numpy

    source = Path(source)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / source.name
        planted = plant(source, target, count)
        out = Path(folder) / "features.npz"
        subprocess.run([hubel, "embed", model, target, "--out", out, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        archive = numpy.load(out)
        paths = [str(path) for path in archive["paths"]]
        features = archive["features"] / numpy.linalg.norm(archive["features"], axis=1, keepdims=True)
        place = {path: number for number, path in enumerate(paths)}
        own = [number for number, path in enumerate(paths) if path not in planted]
        near = []
        for start in range(0, len(own), 1000):
            block = own[start : start + 1000]
            rows, columns = numpy.nonzero(1 - features[block] @ features[own].T < DISTANCES[-1])
            ordered = columns > rows + start
            near += [(block[row], own[column]) for row, column in zip(rows[ordered], columns[ordered])]
        distance = lambda one, other: float(1 - features[one] @ features[other])
        near = sorted((distance(one, other), paths[one], paths[other]) for one, other in near)
        if sheets:
            Path(sheets).mkdir(parents=True, exist_ok=True)
            sheet([pair[1:] for pair in near[:160]], Path(sheets) / f"{source.name}-features.png")
        for limit in DISTANCES:
            found = {change: [] for change in CHANGES}
            for copy, (change, original) in planted.items():
                found[change].append(distance(place[copy], place[original]) < limit)
            print(
                f"{source.name:<16}{len(own):>8,}{limit:>10.2f}{sum(pair[0] < limit for pair in near):>8,}"
                + "".join(f"{100 * sum(of) / len(of):>12.1f}" for of in found.values()),
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--hubel", default="target/release/hubel")
    parser.add_argument("--count", type=int, default=200, help="copies of each kind")
    parser.add_argument("--sheet", help="folder for the contact sheets")
    parser.add_argument("--features", metavar="MODEL", help="measure the features of this model instead")
    arguments = parser.parse_args()
    if arguments.features:
        print(f"{'data':<16}{'pictures':>8}{'distance':>10}{'pairs':>8}" + "".join(f"{change + ' %':>12}" for change in CHANGES))
        for folder in arguments.folders:
            measure_features(arguments.hubel, arguments.features, folder, arguments.count, arguments.sheet)
        return
    print(
        f"{'data':<16}{'pictures':>8}{'groups':>8}{'pairs':>8}{'conflicts':>10}{'leaks':>7}{'alike':>8}"
        + "".join(f"{change + ' %':>12}" for change in CHANGES)
    )
    for folder in arguments.folders:
        measure(arguments.hubel, folder, arguments.count, arguments.sheet)


if __name__ == "__main__":
    main()
