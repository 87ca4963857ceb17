"""Compares our training batches with those of torchvision v2 and kornia.

    python benchmarks/pipeline.py
    python benchmarks/pipeline.py --batch 1024 --data cifar10-folder

Each side returns normalised float32 batches on the device from the same uint8 images in memory, and
flips and crops every image independently. Ours is the batch loader and the data module's hook, as in
a fit, on resident images. torchvision's transforms run per sample, in a DataLoader with 2 workers and
with none, each in a separate process. kornia's, if installed, run on whole batches gathered like
ours. Nothing is trained meanwhile, so the workers have all cores.

The last line is our batches per second over those of the faster torchvision side.
"""

import argparse
import contextlib
import importlib.util
import statistics
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from measurement import (
    Elsewhere,
    argument_parser,
    by_turns,
    paired_ratio,
    print_closing_line,
    print_header,
    print_table,
    resolve_device,
    seconds_per_step,
)
from per_sample import reading
from real_images import SIDE, RealImages
from torch import Tensor
from training import build, compose, real_images, trainer_for, training_batches


def kornia_batches(source: RealImages, batch: int, device: torch.device) -> Iterator[Tensor]:
    """Yields float batches of kornia, each augmented as a whole with separate draws per image."""
    from kornia.augmentation import AugmentationSequential, Normalize, RandomCrop
    from kornia.augmentation import RandomHorizontalFlip as Flip

    images = source.load("train")
    mean, std, *_ = (torch.tensor(values) for values in images.statistics())
    augment = AugmentationSequential(
        RandomCrop((SIDE, SIDE), padding=4), Flip(p=0.5), Normalize(mean, std), data_keys=["input"]
    ).to(device)
    images_NCHW = images.images_NCHW.to(device)
    while True:
        for ids_B in torch.randperm(len(images_NCHW), device=device).split(batch):
            yield augment(images_NCHW.index_select(0, ids_B).float() / 255)


def sides(
    args: argparse.Namespace, device: torch.device, stack: contextlib.ExitStack
) -> dict[str, Callable[[], float]]:
    """Returns a function per side that runs a block, by name; `stack` closes the sides."""
    source = RealImages(args.images, args.data)
    source.prepare()
    overrides = (
        *real_images(args.images, args.data),
        trainer_for(device),
        f"data.batch_size={args.batch}",
        "augment=flip_crop",
    )
    with tempfile.TemporaryDirectory() as folder:
        _, datamodule, trainer = build(compose(*overrides), Path(folder))
    resident = training_batches(datamodule, trainer)
    found = {"ours": lambda: seconds_per_step(lambda: next(resident), args.steps, device)}
    for num_workers in (2, 0):
        # fewer batches, because they take longer
        steps = max(1, args.steps // 4)
        elsewhere = Elsewhere(reading, source, args.batch, num_workers, steps, device)
        stack.enter_context(contextlib.closing(elsewhere))
        found[f"torchvision v2, {num_workers} workers"] = elsewhere.block
    if importlib.util.find_spec("kornia"):
        whole = kornia_batches(source, args.batch, device)
        found[f"kornia {version('kornia')}"] = lambda: seconds_per_step(
            lambda: next(whole), args.steps, device
        )
    else:
        print("kornia is not installed; skipped\n")
    return found


def main() -> None:
    """Prints a table of the sides, and the ratio of ours to torchvision's last."""
    parser = argument_parser(__doc__, repeats=9, steps=400)
    parser.add_argument("--batch", type=int, default=128, help="images per batch (%(default)s)")
    parser.add_argument("--images", type=int, default=50_000, help="images in memory (%(default)s)")
    parser.add_argument("--data", help="folder of real images (default: the embedded sample)")
    args = parser.parse_args()
    device = resolve_device(args.device)
    print_header(
        f"{args.images:,} images of 3 x {SIDE} x {SIDE}, batches of {args.batch}, "
        f"blocks of {args.steps} batches (torchvision: a quarter), {args.repeats} repeats",
        device,
    )
    with contextlib.ExitStack() as stack:
        seconds = by_turns(sides(args, device, stack), args.repeats)
    rows = []
    for name, times in seconds.items():
        rate = 1 / statistics.median(times)
        ratio = paired_ratio(times, seconds["ours"])
        rows.append([name, f"{rate:,.0f}", f"{args.batch * rate:,.0f}", str(ratio)])
    print_table("", ["", "batches/s", "images/s", "ours is faster by"], rows)
    torchvision = (times for name, times in seconds.items() if name.startswith("torchvision"))
    fastest = min(torchvision, key=statistics.median)
    print_closing_line("pipeline", paired_ratio(fastest, seconds["ours"]).median)


if __name__ == "__main__":
    main()
