"""What Lightning's Tuner finds before a training: a learning rate, and a batch size that memory holds.

config = find(config, path)    # with optimizer.lr and data.batch_size as found, for run_experiment

Each is sought with a network, data and a Trainer of their own, so that the training that follows is, to
the bit, the one that had been given the values. Those stand in its `config.yaml`; what was typed and the
curve are kept in `found.json`, the picture in `figures/find_lr.png`.
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
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.errors import TrainingError
from vgg_lit.system.files import write_text
from vgg_lit.system.hardware import count_devices, memory_bytes
from vgg_lit.tables import print_facts
from vgg_lit.training.experiment import build_classifier, load_datamodule
from vgg_lit.training.trainer import build_trainer, precision_of
from vgg_lit.weights.fine_tuning import copy_weights, freeze_layers

LOWEST, HIGHEST, STEPS = 1e-5, 10.0, 100
"""Learning rates of the range test, and how many: a step each."""

MARGIN = 3.0
"""The rate that is taken is so many times below the one at which the loss is lowest: a schedule stays at
its peak for more than a step."""

WINDOW = 15
"""Steps whose mean a point of the curve is."""

BETA = 0.98
"""Of the running mean that Lightning gives."""

STEPS_AN_EPOCH = 10
"""The fewest that a found batch size leaves, whatever memory holds."""

SHARE_OF_MEMORY = 0.5
"""Of the host's, which a batch on the CPU may take: without an error the system would kill the process."""


def find(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The config with what it asks to find, first the batch size, as the rate depends on it.

    Args:
        config: plain and checked.
        path: the run directory, for the record.

    Raises:
        InputError: the data cannot be used.
        TrainingError: no learning rate lets the loss fall.
    """
    changed: dict[str, Any] = deepcopy(dict(config))
    found: dict[str, Any] = {}
    if changed["find_batch_size"]:
        typed, size = changed["data"]["batch_size"], find_batch_size(changed)
        changed["data"]["batch_size"] = size
        found["data.batch_size"] = {"typed": typed, "found": size}
        print_facts({"find_batch_size": f"data.batch_size={size} (was {typed})"})
    if changed["find_lr"]:
        typed, (rates, losses) = changed["optimizer"]["lr"], range_test(changed)
        rate = changed["optimizer"]["lr"] = float(f"{suggestion(rates, losses):.3g}")
        found["optimizer.lr"] = {"typed": typed, "found": rate, "rates": rates, "losses": losses}
        picture = path / "figures" / "find_lr.png"
        _draw(picture, rates, losses, rate)
        print_facts({"find_lr": f"optimizer.lr={rate:g} (was {typed:g}); see {picture}"})
    changed["find_batch_size"] = changed["find_lr"] = False
    write_text(path / "found.json", json.dumps(found, indent=2) + "\n")
    return changed


def find_batch_size(config: Mapping[str, Any]) -> int:
    """The largest power of two that memory holds and that leaves `STEPS_AN_EPOCH` steps."""
    datamodule, classifier = _prepared(config)
    largest = datamodule.sizes["train"] // STEPS_AN_EPOCH
    largest = max(1, min(largest, _held_by_host(config, classifier)))
    first = datamodule.batch_size = min(2, largest)
    tries = int(math.log2(largest / first)) + 1
    with TemporaryDirectory() as folder:
        found = Tuner(_trainer(config, Path(folder), datamodule)).scale_batch_size(
            classifier,
            datamodule=datamodule,
            init_val=first,
            max_trials=tries,
            max_val=2 * largest,  # at which Lightning (2.6) takes what it has not tried
        )
    assert found is not None
    return found


def _held_by_host(config: Mapping[str, Any], classifier: Classifier) -> int:
    """The images that the host's memory holds in a training step; a GPU says itself what it holds."""
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
    return int((SHARE_OF_MEMORY * memory_bytes() - (two - 2 * an_image)) / an_image)


def range_test(config: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Learning rates that rise with each step, and the mean training loss of the steps around each.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
    """
    datamodule, classifier = _prepared(config)
    with TemporaryDirectory() as folder:
        trainer = _trainer(config, Path(folder), datamodule)
        # Lightning's bar, which is for a terminal
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
    count = int(np.isfinite(losses_S).cumprod().sum())  # up to the explosion
    rates = [float(rate) for rate in finder.results["lr"][:count]]
    return rates, _around(losses_S[:count]).tolist()


def step_losses(running_means: Sequence[float]) -> np.ndarray:
    """The loss of each step, from the running means that Lightning (2.6) gives.

    Those lag behind by fifty steps, half of the test, and begin at half the loss, as each is divided by
    the weight that the step after it has.
    """
    means_S = np.asarray(running_means, dtype=float)
    sums_S = means_S * (1 - BETA ** (np.arange(len(means_S)) + 2))
    before_S = np.concatenate([[0.0], sums_S[:-1]])
    return (sums_S - BETA * before_S) / (1 - BETA)


def _around(losses_S: np.ndarray) -> np.ndarray:
    """The mean of `WINDOW` steps about each, of fewer at the ends."""
    ones = np.ones(WINDOW)
    sums = np.convolve(losses_S, ones, "full")
    counts = np.convolve(np.ones(len(losses_S)), ones, "full")
    middle = slice(WINDOW // 2, WINDOW // 2 + len(losses_S))
    return (sums / counts)[middle]


def suggestion(rates: Sequence[float], losses: Sequence[float]) -> float:
    """`MARGIN` below the rate at which the loss is lowest.

    Not Lightning's own suggestion, where the loss falls fastest as the rate rises: that is among the
    smallest rates, whatever the network.

    Raises:
        TrainingError: the loss does not fall.
    """
    lowest = int(np.argmin(losses)) if losses else 0
    if lowest == 0:
        raise TrainingError(
            f"find_lr=true: in {len(rates)} steps the training loss falls at no rate between {LOWEST:g} "
            f"and {HIGHEST:g}; set optimizer.lr yourself"
        )
    return rates[lowest] / MARGIN


def _prepared(config: Mapping[str, Any]) -> tuple[ImageDataModule, Classifier]:
    """Data and network as the training will begin with them."""
    own = deepcopy(dict(config))
    datamodule = load_datamodule(own)
    classifier = build_classifier(own, datamodule)
    copy_weights(own, classifier.net)
    freeze_layers(own, classifier.net)
    return datamodule, classifier


def _trainer(config: Mapping[str, Any], folder: Path, datamodule: ImageDataModule) -> L.Trainer:
    """That of the config, without what goes beside training, and long enough for the test."""
    batches = max(1, datamodule.sizes["train"] // datamodule.batch_size)
    every = config["trainer"]["accumulate_grad_batches"]
    spec = {
        **config["trainer"],
        "max_epochs": -(-STEPS * every // batches) + 1,
        "max_steps": -1,
        "max_time": None,
        "check_val_every_n_epoch": 10**6,
        "enable_progress_bar": False,
        "profiler": None,
    }
    own = {**config, "trainer": spec, "callbacks": {}, "logger": {}}
    return build_trainer(own, folder, batches, has_validation=False)


def _draw(path: Path, rates: Sequence[float], losses: Sequence[float], taken: float) -> None:
    from vgg_lit.analysis.charts import range_test_chart
    from vgg_lit.analysis.style import save_figure

    save_figure(range_test_chart(rates, losses, taken), path)
