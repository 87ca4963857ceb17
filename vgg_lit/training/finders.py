"""Search for the learning rate and the largest batch size with Lightning's Tuner, before a training.

config = find(config, path)    # sets optimizer.lr and data.batch_size for run_experiment

Each search uses a separate network, data module and Trainer, so that the following training is bitwise
equal to one that was given the values. The found values are in `config.yaml`, the configured values and the
curve in `found.json`, and the plot in `figures/find_lr.png`.
"""

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as L
import numpy as np
from lightning.pytorch.tuner import Tuner

from vgg_lit.analysis.complexity import measure
from vgg_lit.classifier import Classifier
from vgg_lit.config.network_checks import check_model, fails_on_one_image
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.errors import TrainingError
from vgg_lit.models.data_arguments import DataShape
from vgg_lit.system.files import write_text
from vgg_lit.system.hardware import (
    count_devices,
    limited_device_memory,
    memory_bytes,
    release_device_memory,
)
from vgg_lit.tables import print_facts
from vgg_lit.training.experiment import build_classifier, set_first_weights
from vgg_lit.training.run_data import load_datamodule
from vgg_lit.training.trainer import batches_per_epoch, build_trainer, precision_of
from vgg_lit.weights.fine_tuning import freeze_layers

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 100
"""Range of learning rates and number of steps of the range test."""

MARGIN = 3.0
"""Ratio of the learning rate with the lowest loss to the suggested one, which is lower because a schedule
stays at its peak for more than one step."""

WINDOW = 15
"""Number of steps that are averaged for a point of the curve."""

BETA = 0.98
"""Decay of Lightning's running mean of the loss."""

MIN_STEPS_PER_EPOCH = 10
"""Minimum number of steps per epoch for a found batch size."""

MAX_SHARE_OF_MEMORY = 0.5
"""Maximum share of the host's memory for a batch on the CPU, where the system kills without an error."""


SHARE_OF_DEVICE_MEMORY = 0.9
"""Share of the free memory of a CUDA device that the search for the batch size may use.

Training needs the rest later: memory that is fragmented after thousands of steps, libraries that are loaded
when they are first used, images of the test split. A copy of the weights, of a moving average, is left free too.
"""


def find(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Returns the config with found values; the batch size is first because the learning rate depends on it.

    Args:
        config: checked config as plain values.
        path: run directory for `found.json` and the plot.

    Raises:
        InputError: the data cannot be used.
        TrainingError: the loss falls at no learning rate.
    """
    changed: dict[str, Any] = deepcopy(dict(config))
    found: dict[str, Any] = {}
    if changed["find_batch_size"]:
        typed, size = changed["data"]["batch_size"], find_batch_size(changed)
        release_device_memory()
        changed["data"]["batch_size"] = size
        found["data.batch_size"] = {"typed": typed, "found": size}
        print_facts({"find_batch_size": f"data.batch_size={size} (was {typed})"})
    if changed["find_lr"]:
        typed, (rates, losses) = changed["optimizer"]["lr"], range_test(changed)
        release_device_memory()
        rate = changed["optimizer"]["lr"] = float(f"{suggestion(rates, losses):.3g}")
        found["optimizer.lr"] = {"typed": typed, "found": rate, "rates": rates, "losses": losses}
        picture = path / "figures" / "find_lr.png"
        _draw(picture, rates, losses, rate)
        print_facts({"find_lr": f"optimizer.lr={rate:g} (was {typed:g}); see {picture}"})
    changed["find_batch_size"] = changed["find_lr"] = False
    write_text(path / "found.json", json.dumps(found, indent=2) + "\n")
    return changed


def find_batch_size(config: Mapping[str, Any]) -> int:
    """Returns the largest power of two that fits into memory and leaves `MIN_STEPS_PER_EPOCH` steps.

    With batch norm it is at least 2, also if that leaves fewer steps. Each size is tried with three steps, so the memory includes the state of the optimiser. A validation batch
    needs less than a step. The rest that training may need is in `SHARE_OF_DEVICE_MEMORY`.

    Raises:
        MemoryError: the smallest batch does not fit into the memory of the device.
    """
    datamodule, classifier = _prepared(config)
    largest = datamodule.sizes["train"] // MIN_STEPS_PER_EPOCH
    largest = min(largest, _max_batch_on_host(config, classifier))
    smallest = 1
    if largest < 2:
        net = check_model(config["model"], DataShape.of(config["data"]))
        smallest = 1 + fails_on_one_image(net, datamodule.image_size)
    largest = max(smallest, largest)
    first = datamodule.batch_size = min(2, largest)
    tries = int(math.log2(largest / first)) + 1
    weights = sum(tensor.nbytes for tensor in classifier.state_dict().values())
    with TemporaryDirectory() as folder:
        trainer = _trainer(config, Path(folder), datamodule)
        device = trainer.strategy.root_device
        try:
            with limited_device_memory(device, SHARE_OF_DEVICE_MEMORY, spare=weights):
                found = Tuner(trainer).scale_batch_size(
                    classifier,
                    datamodule=datamodule,
                    init_val=first,
                    max_trials=tries,
                    max_val=2 * largest,  # at this limit Lightning (2.6) returns an untested size
                )
        except ZeroDivisionError as error:  # Lightning has halved a batch of one image
            raise MemoryError("a batch of one image does not fit") from error
    assert found is not None
    return found


def _max_batch_on_host(config: Mapping[str, Any], classifier: Classifier) -> int:
    """Returns the largest batch that fits into host memory; no limit on a GPU, which raises an error."""
    spec, data = config["trainer"], config["data"]
    kind, _ = count_devices(spec["accelerator"])
    if kind != "cpu" or math.isinf(memory_bytes()):
        return sys.maxsize
    shape = (data["in_channels"], data["image_size"], data["image_size"])
    two, four = (
        measure(classifier.net, shape, size, precision_of(spec)[0]).memory.training
        for size in (2, 4)
    )
    an_image = (four - two) / 2
    return int((MAX_SHARE_OF_MEMORY * memory_bytes() - (two - 2 * an_image)) / an_image)


def range_test(config: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Returns learning rates that rise with each step, and the mean training loss around each step.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
    """
    datamodule, classifier = _prepared(config)
    with TemporaryDirectory() as folder:
        trainer = _trainer(config, Path(folder), datamodule)
        # hides Lightning's progress bar outside of a terminal
        with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):
            finder = Tuner(trainer).lr_find(
                classifier,
                datamodule=datamodule,
                min_lr=LOWEST,
                max_lr=HIGHEST,
                num_training=STEPS,
                update_attr=False,
            )
    assert finder is not None
    losses_S = step_losses(finder.results["loss"])
    count = int(np.isfinite(losses_S).cumprod().sum())  # up to the first non-finite loss
    rates = [float(rate) for rate in finder.results["lr"][:count]]
    return rates, _moving_average(losses_S[:count]).tolist()


def step_losses(running_means: Sequence[float]) -> np.ndarray:
    """Returns the loss of each step, computed from the running means of Lightning (2.6).

    The running means lag by fifty steps, half of the test. They start at half the loss, because each is
    divided by the bias correction of the following step.
    """
    means_S = np.asarray(running_means, dtype=float)
    sums_S = means_S * (1 - BETA ** (np.arange(len(means_S)) + 2))
    before_S = np.concatenate([[0.0], sums_S[:-1]])
    return (sums_S - BETA * before_S) / (1 - BETA)


def _moving_average(losses_S: np.ndarray) -> np.ndarray:
    """Returns the centred moving average over `WINDOW` steps, with shorter windows at the ends."""
    ones = np.ones(WINDOW)
    sums = np.convolve(losses_S, ones, "full")
    counts = np.convolve(np.ones(len(losses_S)), ones, "full")
    middle = slice(WINDOW // 2, WINDOW // 2 + len(losses_S))
    return (sums / counts)[middle]


def suggestion(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Returns the learning rate with the lowest loss, divided by `MARGIN`.

    Lightning suggests the rate at which the loss falls fastest, which is among the smallest rates for any
    network.

    Raises:
        TrainingError: the loss does not fall.
    """
    lowest = int(np.argmin(losses)) if losses else 0
    if lowest == 0:
        raise TrainingError(
            f"find_lr=true: the training loss falls at no rate between {LOWEST:g} and {HIGHEST:g} "
            f"({len(rates)} steps); set find_lr=false and optimizer.lr=..."
        )
    return rates[lowest] / MARGIN


def _prepared(config: Mapping[str, Any]) -> tuple[ImageDataModule, Classifier]:
    """Returns the data and the network in their initial state of the training."""
    own = deepcopy(dict(config))
    datamodule = load_datamodule(own)
    classifier = build_classifier(own, datamodule)
    set_first_weights(own, classifier, datamodule)
    freeze_layers(own, classifier.net)
    return datamodule, classifier


def _trainer(config: Mapping[str, Any], folder: Path, datamodule: ImageDataModule) -> L.Trainer:
    """Builds a Trainer without callbacks, loggers and validation that runs long enough for the test.

    The number of batches in an epoch is a multiple of those of a step: Lightning's range test (2.6) omits the
    smaller last step of an epoch from the curve.
    """
    spec = config["trainer"]
    batches = max(1, batches_per_epoch(config, datamodule))
    every = min(spec["accumulate_grad_batches"], batches)
    limit = "overfit_batches" if spec.get("overfit_batches") else "limit_train_batches"
    changed = {
        "max_epochs": STEPS + 1,  # an epoch has at least one step
        "max_steps": -1,
        "max_time": None,
        "accumulate_grad_batches": every,
        limit: batches // every * every,
        "check_val_every_n_epoch": 10**6,
        "enable_progress_bar": False,
        "profiler": None,
    }
    own = {**config, "trainer": {**spec, **changed}, "callbacks": {}, "logger": {}}
    return build_trainer(own, folder, batches, has_validation=False)


def _draw(path: Path, rates: Sequence[float], losses: Sequence[float], taken: float) -> None:
    from vgg_lit.analysis.charts import range_test_chart
    from vgg_lit.analysis.style import save_figure

    save_figure(range_test_chart(rates, losses, taken), path)
