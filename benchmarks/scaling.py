"""Measures throughput, cost and memory over batch size, width, depth, processes and images.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --model vgg11_bn --batch 64

- throughput: a training step (the bare loop of `training.py`) over batch size, width and depth.
- processes: the train command on the CPU, as 1 and as 2 processes that share the cores.
- images: a full epoch, including order and checkpoint, of some images and of 8 times as many. The
  network is narrow, so that it does not hide other costs. A ratio of at most 1 means linear cost.
- memory: the peak resident memory of the train command on images of CIFAR-10's number and size, with
  and without the bytes of the images.

Throughput and images are measured in alternation in one process. The last line is the cost of an
image in the larger epoch over its cost in the smaller one.
"""

import argparse
import functools
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from measurement import (
    argument_parser,
    by_turns,
    paired_ratio,
    print_closing_line,
    print_header,
    print_table,
    resolve_device,
    seconds_per_step,
    steps_needed,
)
from real_images import SIDE
from train_command import train
from training import BareLoop, build, compose, real_images, terminal, trainer_for

GROWTH = 8
"""The ratio of the number of images in the larger epoch to that in the smaller one."""


def compare_throughput(args: argparse.Namespace, device: torch.device) -> None:
    """Prints images per second for variations of batch size, width and depth around one setting."""
    settings = [(args.model, args.width, args.batch * factor // 4) for factor in (1, 4, 16)]
    settings += [(args.model, args.width * factor, args.batch) for factor in (0.25, 0.5)]
    depths = [f"vgg{depth}_bn" for depth in (11, 13, 16, 19)]
    settings += [(model, args.width, args.batch) for model in depths if model != args.model]
    sides = {}
    for model, width, batch in settings:
        config = compose(
            *real_images(count=8 * args.batch),
            trainer_for(device),
            f"model={model}",
            f"model.width={width}",
            f"data.batch_size={batch}",
            "data.val_fraction=0",
            "augment=flip_crop",
        )
        loop = BareLoop(config, steps_needed(args.repeats, args.steps))
        step = functools.partial(seconds_per_step, loop.step, args.steps, device)
        sides[model, width, batch] = step
    seconds = by_turns(sides, args.repeats)
    rows = []
    for (model, width, batch), times in seconds.items():
        median = statistics.median(times)
        rows.append(
            [model, f"{width:g}", f"{batch}", f"{1e3 * median:,.1f}", f"{batch / median:,.0f}"]
        )
    print_table("throughput", ["network", "width", "batch", "ms per step", "images/s"], rows)


def compare_processes(args: argparse.Namespace, folder: Path) -> None:
    """Prints images per second of the train command as 1 and 2 processes."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    threads = {}
    for repeat in range(2):
        for devices in rates:
            finished = train(
                folder / f"{devices}-processes-{repeat}",
                *real_images(count=8 * args.images),
                f"model={args.model}",
                f"model.width={args.width}",
                f"data.batch_size={args.batch}",
                "trainer.accelerator=cpu",
                f"trainer.devices={devices}",
                "trainer.max_epochs=2",
                f"trainer.limit_train_batches={4 * args.steps}",
                "trainer.limit_val_batches=0",
                "test=false",
            )
            rates[devices].append(finished.images_per_second)
            environment = json.loads((finished.run.path / "environment.json").read_text())
            threads[devices] = environment["cpu_threads"]
    ratio = paired_ratio(rates[2], rates[1])
    rows = [
        [f"{devices} x {threads[devices]}", f"{statistics.median(found):,.0f}"]
        for devices, found in rates.items()
    ]
    print_table(
        f"processes, {args.model}, batches of {args.batch}",
        ["processes x threads", "images/s"],
        rows,
    )
    print(f"2 processes / 1: {ratio}\n", flush=True)


class EpochClock(L.Callback):
    """A callback that times the only epoch of a fit, including its end.

    Attributes:
        seconds: time from the start of the epoch to the end of training.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self.seconds = -time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Stops the clock, after the checkpoint is written."""
        self.seconds += time.perf_counter()


def seconds_an_image(images: int, args: argparse.Namespace, device: torch.device) -> float:
    """Returns the cost of an image in one epoch of training and validation."""
    config = compose(
        *real_images(images),
        trainer_for(device),
        "model=vgg11_bn",
        "model.width=0.0625",
        f"data.batch_size={args.batch}",
        "augment=flip_crop",
        "trainer.max_epochs=1",
    )
    clock = EpochClock()
    with terminal(), tempfile.TemporaryDirectory() as folder:
        classifier, datamodule, trainer = build(config, Path(folder))
        trainer.callbacks.append(clock)  # type: ignore[attr-defined]
        trainer.fit(classifier, datamodule=datamodule)
    return clock.seconds / images


def compare_images(args: argparse.Namespace, device: torch.device) -> float:
    """Prints the cost of an image in a small and in a large epoch; returns the ratio."""
    sides = {
        images: functools.partial(seconds_an_image, images, args, device)
        for images in (args.images, GROWTH * args.images)
    }
    seconds = by_turns(sides, args.repeats)
    rows = [
        [
            f"{images:,}",
            f"{1e6 * statistics.median(times):,.1f}",
            f"{images * statistics.median(times):,.2f}",
        ]
        for images, times in seconds.items()
    ]
    print_table("an epoch", ["images", "microseconds per image", "seconds"], rows)
    small, large = seconds.values()
    ratio = paired_ratio(large, small)
    exponent = 1 + math.log(ratio.median) / math.log(GROWTH)
    print(
        f"cost of an image, large epoch / small: {ratio}; cost ~ images^{exponent:.2f}\n",
        flush=True,
    )
    return ratio.median


def measure_memory(args: argparse.Namespace, folder: Path, device: torch.device) -> None:
    """Prints the peak resident memory of the train command on the full data."""
    images = GROWTH * args.images
    finished = train(
        folder / "memory",
        *real_images(images),
        trainer_for(device),
        f"model={args.model}",
        f"model.width={args.width}",
        f"data.batch_size={args.batch}",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=20",
        "trainer.limit_val_batches=5",
        "trainer.limit_test_batches=5",
    )
    total = images + images // 5
    data = total * 3 * SIDE**2 / 1e9
    peak = finished.peak_bytes / 1e9
    print(
        f"memory, {args.model}, batches of {args.batch}: {peak:.2f} GB resident at most, "
        f"{data:.2f} GB of them {total:,} images; the rest is {peak - data:.2f} GB\n",
        flush=True,
    )


def main() -> None:
    """Runs the four measurements, and prints the growth of the cost per image last."""
    parser = argument_parser(__doc__, repeats=3, steps=3)
    parser.add_argument("--model", default="vgg16_bn", help="as model= in training (%(default)s)")
    parser.add_argument("--width", type=float, default=1.0, help="as model.width= (%(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="images per batch (%(default)s)")
    parser.add_argument(
        "--images",
        type=int,
        default=6_250,
        help=f"images in the smaller epoch, 1/{GROWTH} of the larger one (%(default)s)",
    )
    args = parser.parse_args()
    device = resolve_device(args.device)
    print_header(
        f"{args.model}, batches of {args.batch}, blocks of {args.steps} steps, "
        f"{args.repeats} repeats",
        device,
    )
    compare_throughput(args, device)
    with tempfile.TemporaryDirectory() as folder:
        compare_processes(args, Path(folder))
        measure_memory(args, Path(folder), device)
    print_closing_line("scaling", compare_images(args, device))


if __name__ == "__main__":
    main()
