"""Measures how many images `vgg_lit.predict` marks as unlike the training images.

    python scripts/measure_unlike_images.py                    # the embedded sample
    python scripts/measure_unlike_images.py photos --size 64   # a folder of images

It measures the ranges of the training images, then counts the marked test images, and the marked
ones of the same images inverted. It repeats this for random subsets of the training images.
"""

import argparse

import torch

from vgg_lit.data.fashion_mnist import FashionMNISTSample
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.image_ranges import ImageRanges, measure_ranges
from vgg_lit.data.sources import ResidentImages, Source
from vgg_lit.tables import print_rows

SUBSETS = (30, 100, 300, 1000)
REPEATS = 5


def count_marked(ranges: ImageRanges, images_NCHW: torch.Tensor) -> int:
    """Returns the number of images that predict would mark."""
    return sum(map(bool, ranges.differences(images_NCHW)))


def main() -> None:
    """Prints a row for all training images, and a row of means for each size of subset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="folder of images; default: the embedded sample")
    parser.add_argument("--size", type=int, default=64, help="side of the images, pixels")
    args = parser.parse_args()
    source: Source = FashionMNISTSample()
    if args.folder:
        source = ImageFolder(args.folder, size=args.size)
    source.prepare()
    train, test = source.load("train"), source.load("test")
    assert isinstance(train, ResidentImages)
    assert isinstance(test, ResidentImages)
    total, rows = len(train.labels_N), []
    for count in (total, *(size for size in SUBSETS if size < total)):
        marked, found = 0, 0
        repeats = 1 if count == total else REPEATS
        for repeat in range(repeats):
            draws = torch.Generator().manual_seed(repeat)
            ids = torch.randperm(total, generator=draws)[:count]
            ranges = measure_ranges(train, ids)
            marked += count_marked(ranges, test.images_NCHW)
            found += count_marked(ranges, 255 - test.images_NCHW)
        rows.append(
            {
                "training images": f"{count}",
                "of 1,000 test images": f"{1000 * marked / repeats / len(test.labels_N):.1f}",
                "of 1,000 inverted": f"{1000 * found / repeats / len(test.labels_N):.1f}",
            }
        )
    print_rows(rows, f"Images marked as unlike, {source.name}: {len(test.labels_N)} test images")


if __name__ == "__main__":
    main()
