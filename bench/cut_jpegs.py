"""How many JPEGs that lost a part of their data does `hubel check` report? `python bench/cut_jpegs.py HUBEL PICTURES [COUNT]` (Pillow, NumPy).

Takes COUNT photographs below the folder PICTURES and encodes them again in several ways. Then it cuts off the data after a share of its bytes, and appends the
end marker of a JPEG, as programs that repair downloads do. Complete JPEGs, and those with a plain lower half, must not be reported.
"""
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

WAYS = {
    "baseline": {},
    "baseline, optimised": {"optimize": True},
    "baseline, restart markers": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "progressive, restart markers": {"progressive": True, "restart_marker_rows": 1},
}
SHARES = [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]


def coded(picture, way):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85, **way)
    return file.getvalue()


def cut(jpeg, share):
    """The file as far as a share of what follows the first scan's head."""
    scan = jpeg.index(b"\xff\xda")
    start = scan + 2 + int.from_bytes(jpeg[scan + 2:scan + 4], "big")
    return jpeg[:start + int(share * (len(jpeg) - 2 - start))] + b"\xff\xd9"


def with_plain_half(picture):
    pixels = np.asarray(picture).copy()
    pixels[len(pixels) // 2:] = pixels[len(pixels) // 2, 0]
    return Image.fromarray(pixels)


def main():
    hubel, pictures = sys.argv[1], Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 100
    files = sorted(path for path in pictures.rglob("*.jpg"))
    photos = [Image.open(path).convert("RGB") for path in files[::max(1, len(files) // count)][:count]]
    print(f"{len(photos)} photographs of {pictures.name}; reported of them, by the share of the data that is left")
    columns = ["whole", "plain half", *[f"{share:.0%}" for share in SHARES]]
    print("".ljust(30) + "".join(column.rjust(12) for column in columns))
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            for number, photo in enumerate(photos):
                whole = coded(photo, way)
                variants = [whole, coded(with_plain_half(photo), way), *[cut(whole, share) for share in SHARES]]
                for column, variant in zip(columns, variants):
                    path = Path(folder) / ("ab"[number % 2]) / f"{column}-{number}.jpg"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(variant)
            answer = subprocess.run([hubel, "check", folder, "--json"], stdout=subprocess.PIPE, check=False).stdout
        findings = json.loads(answer)["findings"]
        reported = [Path(path).name for finding in findings if finding["kind"] in ["truncated", "unreadable"] for path in finding["paths"]]
        counts = [sum(file.startswith(f"{column}-") for file in reported) for column in columns]
        print(name.ljust(30) + "".join(str(count).rjust(12) for count in counts))


if __name__ == "__main__":
    main()
