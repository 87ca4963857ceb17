"""Measures the time that the record of a run's images adds to the loading of a folder.

    python benchmarks/data_record.py
    python benchmarks/data_record.py --images 5000 --side 64

Sides: a folder is loaded and split; the same, and `data.json` is written as for a new run; the same, and
compared with `data.json` as for a resumed run. The folder holds small PNG files in two classes, and the image
cache is filled in the round that is not counted. Times are CPU times of this process.

The last line is the time with the record of a new run over that without.
"""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from measurement import (
    argument_parser,
    by_turns,
    paired_ratio,
    print_closing_line,
    print_header,
    print_table,
)
from torchvision.io import write_png

from vgg_lit.data import FashionMNISTSample, ImageDataModule
from vgg_lit.data.data_record import read_data_record, write_data_record
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.recording import adopt, record_of
from vgg_lit.data.sources import ResidentImages


def write_folder(root: Path, count: int) -> None:
    """Writes `count` images of the embedded sample as PNG files of two classes."""
    images = FashionMNISTSample().load("train")
    assert isinstance(images, ResidentImages)
    for name in ("even", "odd"):
        (root / name).mkdir(parents=True)
    for number in range(count):
        file = root / ("odd" if number % 2 else "even") / f"{number}.png"
        write_png(images.images_NCHW[number % len(images.images_NCHW)], str(file))


def sides(root: Path, side: int, record: Path) -> dict[str, Callable[[], float]]:
    """Returns functions that load the folder once and return the CPU seconds."""

    def load(name: str) -> float:
        gc.collect()  # not the rows of the other sides
        start = time.process_time()
        data = ImageDataModule(ImageFolder(root, size=side), image_size=side)
        data.prepare_data()
        if name == "a resumed run":
            before = read_data_record(record)
            assert before is not None
            assert not adopt(data, before)
        data.setup()
        if name == "a new run":
            write_data_record(record, record_of(data))
        return time.process_time() - start

    names = ("without the record", "a new run", "a resumed run")
    return {name: lambda name=name: load(name) for name in names}


def main() -> None:
    """Prints a table of the sides, and the ratio of a new run last."""
    parser = argument_parser(__doc__, repeats=15)
    parser.add_argument("--images", type=int, default=20_000, help="files (%(default)s)")
    parser.add_argument("--side", type=int, default=32, help="pixels (%(default)s)")
    args = parser.parse_args()
    print_header(f"{args.images:,} files, {args.side} pixels, {args.repeats} repeats")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_folder(folder / "images", args.images)
        with patch.dict(os.environ, VGG_LIT_CACHE=str(folder / "cache")):
            loads = sides(folder / "images", args.side, folder / "data.json")
            measured = by_turns(loads, args.repeats)
    without = measured["without the record"]
    rows = [
        [name, f"{statistics.median(seconds):.2f}", str(paired_ratio(seconds, without))]
        for name, seconds in measured.items()
    ]
    print_table("loading a folder", ["", "CPU seconds", "ratio (rounds)"], rows)
    print_closing_line("data_record", paired_ratio(measured["a new run"], without).median)


if __name__ == "__main__":
    main()
