"""Compares our training step with that of a typical script: same images, network and batch size.

    python benchmarks/usual_script.py
    python benchmarks/usual_script.py --data cifar10-folder --repeats 11
    python benchmarks/usual_script.py --batch 128 512 1024 --compile --steps 30    # on a GPU

The usual script: torchvision v2 transforms per sample (crop, flip, normalise), a DataLoader with 2
workers, torchvision's layers with a linear head, fp32, contiguous NCHW, SGD; no metrics, logging or
clipping. It runs in a separate process. Ours: the Trainer of the default config with its callbacks,
loggers and progress bar, in `auto` precision and in fp32. Both train on the same images, without the
end of an epoch.

The ceiling is the speed of a large matrix product in that precision, measured in the same run, over
the operations of the network's convolutions and linear layers. The last line is the usual script's
time over ours in `auto` precision.
"""

import argparse
import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from measurement import (
    Elsewhere,
    Ratio,
    argument_parser,
    paired_ratio,
    print_closing_line,
    print_header,
    print_table,
    resolve_device,
    seconds_per_step,
    steps_needed,
)
from per_sample import PerSampleImages, PerSamplePipeline
from real_images import SIDE, RealImages
from torch.nn import functional as F
from training import compose, fit_by_turns, real_images, trainer_for
from usual_training import usual_network

from vgg_lit.analysis.complexity import training_operations
from vgg_lit.callbacks.throughput import PRODUCT_DTYPES
from vgg_lit.system.hardware import matmul_rate
from vgg_lit.targets import instantiate
from vgg_lit.training.trainer import precision_of

NUM_WORKERS = 2


@contextlib.contextmanager
def usual_script(
    model: str, source: RealImages, batch: int, steps: int, device: torch.device
) -> Iterator[Callable[[], float]]:
    """Runs a typical training loop; yields a function that runs a block and returns seconds per step."""
    net = usual_network(model, len(source.classes)).to(device).train()
    torch.backends.cudnn.benchmark = True  # as in many scripts, and in ours on a GPU
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    pipeline = PerSamplePipeline(PerSampleImages(source.load("train")), batch, NUM_WORKERS, device)

    def step() -> None:
        x_BCHW, labels_B = next(pipeline)
        loss = F.cross_entropy(net(x_BCHW), labels_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def block() -> float:
        with pipeline.running():
            return seconds_per_step(step, steps, device)

    with contextlib.closing(pipeline):
        yield block


@dataclass(frozen=True)
class Side:
    """The results of one of our settings compared with the usual script.

    Attributes:
        name: precision, with "compiled" if compiled.
        ratio: the usual script's seconds over ours.
        rate: images per second.
        usual_rate: images per second of the usual script in the same rounds.
        ceiling: images per second at the rate of a matrix product.
    """

    name: str
    ratio: Ratio
    rate: float
    usual_rate: float
    ceiling: float


def compare(batch: int, settings: Sequence[str], args: argparse.Namespace) -> list[Side]:
    """Compares each of our settings with the usual script, at one batch size."""
    device = resolve_device(args.device)
    # enough images for all steps of a fit in one epoch
    source = RealImages(max(50_000, batch * steps_needed(args.repeats, args.steps)), args.data)
    source.prepare()
    sides = []
    elsewhere = Elsewhere(usual_script, args.model, source, batch, args.steps, device)
    with contextlib.closing(elsewhere) as usual:
        for setting in settings:
            config = compose(
                *real_images(source.count, args.data),
                trainer_for(device),
                f"model={args.model}",
                "augment=flip_crop",
                f"data.batch_size={batch}",
                "data.val_fraction=0",
                *setting.split(),
            )
            seconds = fit_by_turns(config, {"usual": usual.block}, args.repeats, args.steps, device)
            precision, _ = precision_of(config["trainer"])
            dtype = PRODUCT_DTYPES.get(precision, torch.float32)
            with torch.device("meta"):
                net = instantiate(config["model"], key="model")
            sides.append(
                Side(
                    precision + ", compiled" * config["compile"],
                    paired_ratio(seconds["usual"], seconds["trainer"]),
                    batch / statistics.median(seconds["trainer"]),
                    batch / statistics.median(seconds["usual"]),
                    matmul_rate(dtype, device) / training_operations(net, (3, SIDE, SIDE)),
                )
            )
    return sides


def print_sides(batch: int, sides: Sequence[Side]) -> None:
    """Prints the table of one batch size."""
    columns = ["", "images/s", "usual script", "ratio (rounds)", "ceiling", "of the ceiling"]
    rows = [
        [
            f"Trainer, {side.name}",
            f"{side.rate:,.0f}",
            f"{side.usual_rate:,.0f}",
            str(side.ratio),
            f"{side.ceiling:,.0f}",
            f"{100 * side.rate / side.ceiling:.0f} %",
        ]
        for side in sides
    ]
    print_table(f"images per second, batches of {batch}", columns, rows)


def main() -> None:
    """Prints a table per batch size, and the first ratio in `auto` precision last."""
    parser = argument_parser(__doc__, repeats=7, steps=6)
    parser.add_argument("--model", default="vgg16_bn", help="torchvision model (%(default)s)")
    parser.add_argument(
        "--batch", type=int, nargs="+", default=[128], help="images per batch (128)"
    )
    parser.add_argument("--compile", action="store_true", help="also ours with torch.compile")
    parser.add_argument("--data", help="folder of real images (default: the embedded sample)")
    args = parser.parse_args()

    print_header(
        f"{args.model}, blocks of {args.steps} steps, {args.repeats} repeats",
        resolve_device(args.device),
    )
    settings = ["trainer.precision=auto", "trainer.precision=32-true"]
    if args.compile:
        settings[1:1] = ["trainer.precision=auto compile=true"]
    ratios = []
    for batch in args.batch:
        sides = compare(batch, settings, args)
        print_sides(batch, sides)
        ratios.append(sides[0].ratio.median)
    print_closing_line("usual_script", ratios[0])


if __name__ == "__main__":
    main()
