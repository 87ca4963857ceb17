"""How throughput, cost and memory grow: with batch, width, depth, processes and images.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --model vgg11_bn --batch 64

- throughput: a step of training (the bare loop of `training.py`) over batch size, width and depth.
- processes: the train command on the CPU, as 1 and as 2 processes that share its cores.
- images: an epoch, from its order to its checkpoint, of some images and of 8 times as many, with a
  net so narrow that it hides nothing; linear in the images is a ratio of at most 1.
- memory: the most that the train command has resident on images of CIFAR-10's number and size, and
  that without the images' own bytes.

Throughput and images are measured by turns in one process. The last line is the cost of an image in
the larger epoch over its cost in the smaller one.
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
"""How many times the smaller epoch's images the larger one has."""


def compare_throughput(args: argparse.Namespace, device: torch.device) -> None:
    """Prints images a second around one setting: other batch sizes, widths and depths."""
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
    print_table("throughput", ["network", "width", "batch", "ms a step", "images/s"], rows)


def compare_processes(args: argparse.Namespace, folder: Path) -> None:
    """Prints images a second of the train command as 1 and 2 processes."""
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
    """Times the one epoch of a fit, its end included.

    Attributes:
        seconds: from its start to the end of training.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self.seconds = -time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Stops it; the checkpoint is written."""
        self.seconds += time.perf_counter()


def seconds_an_image(images: int, args: argparse.Namespace, device: torch.device) -> float:
    """The cost of an image in one epoch: training and validation."""
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
    """Prints what an image costs in a small epoch and in a large one; the quotient."""
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
    print_table("an epoch", ["images", "microseconds an image", "seconds"], rows)
    small, large = seconds.values()
    ratio = paired_ratio(large, small)
    exponent = 1 + math.log(ratio.median) / math.log(GROWTH)
    print(
        f"cost of an image, large epoch / small: {ratio}; cost ~ images^{exponent:.2f}\n",
        flush=True,
    )
    return ratio.median


def measure_memory(args: argparse.Namespace, folder: Path, device: torch.device) -> None:
    """Prints the train command's peak resident memory on whole data."""
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
    """Measures the four, and prints the cost's growth with the images last."""
    parser = argument_parser(__doc__, repeats=3, steps=3)
    parser.add_argument("--model", default="vgg16_bn", help="as model= in training (%(default)s)")
    parser.add_argument("--width", type=float, default=1.0, help="as model.width= (%(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="images a batch (%(default)s)")
    parser.add_argument(
        "--images", type=int, default=6_250, help=f"a {GROWTH}th of the data (%(default)s)"
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
