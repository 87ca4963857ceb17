"""Measures the minutes to several accuracies: the fast recipe and the usual script on the same data.

    python benchmarks/time_to_accuracy.py data_root=data --folder timings
    python benchmarks/time_to_accuracy.py data_root=data --folder longer --epochs 3 10 --usual-epochs 20

Ours is `python -m vgg_lit.train experiment=fast_cifar10 <overrides>`, once for each length of
`--epochs`: a schedule ends at a rate of 0, so an accuracy within a training says little. The time to
an accuracy is that of the shortest length which reaches it, from the start of the fit to the end of
the test. The usual script (see `usual_training.py`) trains once, and each of its epochs counts; its
test takes no time. Below the accuracy at the end of its schedule a shorter schedule would be faster, so
the ratio is fair near that accuracy and too large below it. The two sides take turns. Each training is one run of seed 0 (n = 1).

Accuracy is that of a single view of the test images. A separate column has ours with the views of the
recipe (`evaluate flip=true shifts=1`), whose time is added.

Above what the usual script reaches here, its time is the measured time of an epoch multiplied by
published numbers of epochs, and marked `published`. `--folder` keeps the state, so that an interrupted
measurement continues. The last line is the ratio at the highest accuracy that both sides reached here.
"""

import argparse
import contextlib
import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from measurement import print_closing_line, print_header, print_table, resolve_device
from torch.nn import functional as F
from train_command import train
from training import compose
from usual_training import Epoch, usual_epochs

import vgg_lit
from vgg_lit.data.sources import ResidentImages
from vgg_lit.system.files import write_text
from vgg_lit.system.status import read_status
from vgg_lit.targets import instantiate

SIDE = 32

PUBLISHED = {92: 200, 93: 200, 94: 200}
"""Epochs of the usual script to an accuracy in percent, from public results on CIFAR-10.

VGG-16 with batch norm: 92.64 % in 200 epochs (kuangliu/pytorch-cifar), 94.16 % in 200 epochs
(chenyaofo/pytorch-cifar-models).
"""


@dataclass(frozen=True)
class Result:
    """The accuracy of a training of a certain length, and its time."""

    epochs: int
    accuracy: float
    minutes: float
    is_published: bool = False

    def __str__(self) -> str:
        digits = 1 if self.minutes < 100 else 0
        return f"{self.minutes:.{digits}f} ({self.epochs}{', published' * self.is_published})"


def claim(folder: Path, settings: dict[str, object]) -> None:
    """Records the settings that the state in the folder belongs to.

    Raises:
        SystemExit: the folder has the state of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "settings.json"
    if file.is_file() and (before := json.loads(file.read_text(encoding="utf-8"))) != settings:
        sys.exit(f"{folder}: was measured with {before}, not {settings}; choose another --folder")
    write_text(file, json.dumps(settings))


def our_results(epochs: int, overrides: Sequence[str], folder: Path) -> tuple[Result, Result]:
    """Trains for a number of epochs, if the folder does not hold that run already.

    Returns:
        The results of a single view and of the views of the recipe.
    """
    if read_status(folder / "run").get("status") != "done":
        shutil.rmtree(folder, ignore_errors=True)
        train(folder, *overrides, f"trainer.max_epochs={epochs}")
    run = vgg_lit.Run(folder / "run")
    minutes = run.metrics["seconds"] / 60
    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):  # standard output has this benchmark's lines alone
        accuracy = run.evaluate(flip=True, shifts=1)["test/acc"]
    with_views = Result(epochs, accuracy, minutes + (time.perf_counter() - start) / 60)
    return Result(epochs, run.metrics["test/acc"], minutes), with_views


def usual_results(done: Sequence[Epoch]) -> list[Result]:
    """Returns the accuracy and the time after each epoch of the usual script."""
    return [
        Result(n, epoch.accuracy, sum(before.seconds for before in done[:n]) / 60)
        for n, epoch in enumerate(done, start=1)
    ]


def first_to(target: float, results: Sequence[Result]) -> Result | None:
    """Returns the fastest result with at least `target` percent."""
    reached = [result for result in results if 100 * result.accuracy >= target]
    return min(reached, key=lambda result: result.minutes, default=None)


def published(target: float, done: Sequence[Epoch]) -> Result | None:
    """Returns the published epochs to an accuracy times the median time of an epoch."""
    epochs = PUBLISHED.get(math.ceil(target))
    if epochs is None:
        return None
    minutes = epochs * statistics.median(epoch.seconds for epoch in done) / 60
    return Result(epochs, target / 100, minutes, is_published=True)


def images_of(overrides: Sequence[str]) -> tuple[ResidentImages, ResidentImages]:
    """Returns the training and test images of a config, as 3 x 32 x 32.

    A part of a split has evenly spaced images, because the embedded sample is sorted by class.
    """
    data = compose(*overrides)["data"]
    source = instantiate(data["source"], key="data.source")
    source.prepare()
    return (
        _colour(source.load("train"), data["train_size"]),
        _colour(source.load("test"), data["test_size"]),
    )


def _colour(images: ResidentImages, count: int | None) -> ResidentImages:
    margin = (SIDE - images.size) // 2
    total = len(images.labels_N)
    rows_N = torch.arange(count or total) * total // (count or total)
    images_NCHW = F.pad(images.images_NCHW[rows_N], [margin] * 4).expand(-1, 3, -1, -1)
    return ResidentImages(images_NCHW.contiguous(), images.labels_N[rows_N])


def measure(
    args: argparse.Namespace, folder: Path
) -> tuple[list[Result], list[Result], list[Epoch]]:
    """Trains both sides in turns and prints a line for each training and epoch.

    Returns:
        Our results with a single view, those with the views of the recipe, and the usual script's epochs.
    """
    overrides = [f"experiment={args.experiment}", *args.overrides]
    settings = {"ours": overrides, "model": args.model, "usual_epochs": args.usual_epochs}
    claim(folder, settings)
    usual = usual_epochs(
        args.model,
        *images_of(overrides),
        epochs=args.usual_epochs,
        file=folder / "usual.pt",
        device=resolve_device("auto"),
    )
    ours: list[Result] = []
    with_views: list[Result] = []
    theirs: list[Epoch] = []
    turns = max(len(args.epochs), args.usual_epochs)
    for turn in range(turns):
        if turn < len(args.epochs):
            epochs = args.epochs[turn]
            single, views = our_results(epochs, overrides, folder / f"ours_{epochs}")
            ours.append(single)
            with_views.append(views)
            shown = f"{100 * single.accuracy:.2f} %, {single.minutes:.2f} min"
            shown += f"; with views {100 * views.accuracy:.2f} %, {views.minutes:.2f} min"
            print(f"{args.experiment}, {epochs} epochs: {shown}", flush=True)
        if (epoch := next(usual, None)) is not None:
            theirs.append(epoch)
            shown = f"{100 * epoch.accuracy:.2f} %, {epoch.seconds / 60:.2f} min"
            print(f"the usual script, epoch {len(theirs)}: {shown}", flush=True)
    return ours, with_views, theirs


def main() -> None:
    """Prints a table of the minutes to each accuracy, and the measured ratio last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="overrides of our side")
    parser.add_argument("--experiment", default="fast_cifar10", help="our recipe (%(default)s)")
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 3, 4, 6, 10, 14])
    parser.add_argument("--model", default="vgg16_bn", help="of the usual script (%(default)s)")
    parser.add_argument("--usual-epochs", type=int, default=15, help="(%(default)s)")
    parser.add_argument("--targets", type=float, nargs="+", default=[85, 90, 92, 93, 94])
    parser.add_argument("--folder", type=Path, help="keeps the state of the measurement")
    args = parser.parse_args()
    settings = f"{args.experiment} {' '.join(args.overrides)} and {args.model}"
    print_header(settings, resolve_device("auto"))

    with tempfile.TemporaryDirectory() as temporary:
        ours, with_views, theirs = measure(args, args.folder or Path(temporary))
    rows, ratio = [], math.nan
    for target in args.targets:
        mine, viewed = first_to(target, ours), first_to(target, with_views)
        other = first_to(target, usual_results(theirs)) or published(target, theirs)
        row = [
            f"{target:g} %",
            *(str(found or "not reached") for found in (mine, viewed, other)),
            "",
        ]
        if other and (fastest := mine or viewed):
            row[-1] = f"{other.minutes / fastest.minutes:.1f}{'' if mine else ', with views'}"
        if mine and other and not other.is_published:
            ratio = other.minutes / mine.minutes
        rows.append(row)
    columns = ["test accuracy", args.experiment, "with views", "the usual script", "ratio"]
    print_table("minutes (epochs) to an accuracy, n = 1", columns, rows)
    if math.isnan(ratio):
        sys.exit("time_to_accuracy: no accuracy was reached by both sides; allow more epochs")
    print_closing_line("time_to_accuracy", ratio)


if __name__ == "__main__":
    main()
