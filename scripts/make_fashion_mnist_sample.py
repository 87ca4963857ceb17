"""Makes the Fashion-MNIST sample that vgg_lit ships; the result is byte-identical.

python scripts/make_fashion_mnist_sample.py data/fashion-mnist vgg_lit/data/sample/fashion_mnist_sample.png

The first argument is a folder with the four idx files. Prints the SHA-256, which is `SAMPLE_SHA256`
in `vgg_lit/data/fashion_mnist.py`.
"""

import hashlib
import sys
from pathlib import Path

import torch
from PIL import Image

from vgg_lit.data.fashion_mnist import CLASSES, SAMPLE_COLUMNS, SAMPLE_PER_CLASS, FashionMNIST
from vgg_lit.data.idx import SIDE
from vgg_lit.data.splits import stratified_subset

SEED = 0


def main(source: str, target: str) -> None:
    """Draws class-balanced images from each official split and arranges them by class."""
    chosen = []
    for split, per_class in SAMPLE_PER_CLASS.items():
        images = FashionMNIST(source, download=False).load(split)
        ids = torch.arange(len(images.labels_N))
        size = per_class * len(CLASSES)
        mask = stratified_subset(images.labels_N, ids, size, SEED, f"sample {split}")
        by_class = torch.argsort(images.labels_N[mask], stable=True)
        chosen.append(images.images_NCHW[mask][by_class])
    rows = torch.cat(chosen).view(-1, SAMPLE_COLUMNS, SIDE, SIDE).transpose(1, 2)
    sheet = Image.fromarray(rows.reshape(-1, SAMPLE_COLUMNS * SIDE).numpy())
    sheet.save(target, optimize=True)
    print(hashlib.sha256(Path(target).read_bytes()).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
