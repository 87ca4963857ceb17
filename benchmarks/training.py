"""Our side of the benchmarks: the real Trainer in blocks of steps, and a bare loop.

`fit_by_turns` fits like the train command, with every default callback and logger and a progress bar.
Between two of its steps it runs the other sides.
"""

import contextlib
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import lightning.pytorch as L
import torch
from measurement import WARM_ROUNDS, WARM_STEPS, steps_needed, synchronise
from torch.nn.utils import clip_grad_norm_

from vgg_lit.classifier import Batch, Classifier
from vgg_lit.config.checks import check_train, to_plain
from vgg_lit.config.command import config_folder
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.config.resolvers import register_resolvers
from vgg_lit.data import ImageDataModule
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.training.experiment import build_classifier
from vgg_lit.training.run_data import load_datamodule
from vgg_lit.training.trainer import build_trainer

REAL_IMAGES = (
    "data=fashion_mnist_sample",
    "data.source._target_=real_images.RealImages",
    "data.in_channels=3",
    "data.num_classes=null",
)
"""Overrides of the train command that use `RealImages`; it has to trust `real_images`."""


def real_images(count: int, folder: str | None = None) -> tuple[str, ...]:
    """Returns overrides of the train command for `count` real images."""
    place = (f"+data.source.folder='{folder}'",) if folder else ()
    return (*REAL_IMAGES, f"+data.source.count={count}", *place)


def compose(*overrides: str) -> dict[str, Any]:
    """Composes the config of `python -m vgg_lit.train <overrides>`; trusts `real_images`."""
    register_resolvers()
    overrides = (*overrides, "trusted_targets=[real_images]")
    with hydra.initialize_config_dir(str(config_folder()), **VERSION_BASE):
        plain = to_plain(hydra.compose("train", overrides=list(overrides)))
    check_train(plain)
    return plain


def trainer_for(device: torch.device) -> str:
    """Returns the override of the train command that trains on a device."""
    return f"trainer={'gpu' if device.type == 'cuda' else 'cpu'}"


class Turns(L.Callback):
    """A callback that times blocks of a fit's steps and runs the other sides between blocks.

    A block is from the end of one step, including all callbacks, to the end of another.

    Args:
        steps: counted steps per block.
        others: functions by name that run a block of another side and return the seconds per step.
        device: device of the fit.

    Attributes:
        seconds: seconds per step of each side in each counted round.
    """

    def __init__(
        self, steps: int, others: Mapping[str, Callable[[], float]], device: torch.device
    ) -> None:
        self.steps = steps
        self.others = others
        self.device = device
        self._rounds: dict[str, list[float]] = {name: [] for name in ("trainer", *others)}
        self._start = 0.0

    @property
    def seconds(self) -> dict[str, list[float]]:
        """Seconds per step of each side, without warm-up rounds."""
        return {name: seconds[WARM_ROUNDS:] for name, seconds in self._rounds.items()}

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Starts or stops the clock; runs the other sides at the end of a block."""
        done = (batch_idx + 1) % (WARM_STEPS + self.steps)
        if done == WARM_STEPS:
            synchronise(self.device)
            self._start = time.perf_counter()
        elif done == 0:
            synchronise(self.device)
            self._rounds["trainer"].append((time.perf_counter() - self._start) / self.steps)
            for name, block in self.others.items():
                self._rounds[name].append(block())


def fit_by_turns(
    config: dict[str, Any],
    others: Mapping[str, Callable[[], float]],
    repeats: int,
    steps: int,
    device: torch.device,
    callbacks: Sequence[L.Callback] = (),
) -> dict[str, list[float]]:
    """Fits in alternation with other sides.

    Args:
        config: config of the fit; one epoch of its data must contain the steps of all rounds.
        others: other sides, as in `Turns`.
        repeats: counted rounds.
        steps: counted steps per block.
        device: device of the fit.
        callbacks: additional callbacks, called after those of the config.

    Returns:
        Seconds per step in each round, of the Trainer ("trainer") and of the other sides.
    """
    config["trainer"] |= {"max_epochs": 1, "limit_train_batches": steps_needed(repeats, steps)}
    turns = Turns(steps, others, device)
    with terminal(), tempfile.TemporaryDirectory() as folder:
        classifier, datamodule, trainer = build(config, Path(folder))
        trainer.callbacks += [turns, *callbacks]  # type: ignore[attr-defined]
        trainer.fit(classifier, datamodule=datamodule)
    return turns.seconds


def build(config: dict[str, Any], path: Path) -> tuple[Classifier, ImageDataModule, L.Trainer]:
    """Builds the classifier, data module and Trainer from a config, like the train command."""
    datamodule = load_datamodule(config)
    classifier = build_classifier(config, datamodule)
    batches = datamodule.sizes["train"] // datamodule.batch_size
    trainer = build_trainer(
        config,
        path,
        batches_per_epoch=min(batches, config["trainer"]["limit_train_batches"] or batches),
        has_validation=datamodule.val_fraction > 0,
    )
    return classifier, datamodule, trainer


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """Redirects stdout to a fake terminal, so that a run also draws its progress bar."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with contextlib.redirect_stdout(Terminal()):
        yield


def training_batches(datamodule: ImageDataModule, trainer: L.Trainer) -> Iterator[Batch]:
    """Yields the batches of a fit without end: resident, augmented, normalised."""
    datamodule.trainer = trainer
    trainer.training = True  # augments
    loader = datamodule.train_dataloader()
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            yield datamodule.on_after_batch_transfer(batch, 0)


class BareLoop:
    """The training of a config as a loop of ten lines, without Lightning's loop.

    It has the same batches, augmentation, network, kernels, loss, clipping, optimiser and schedule,
    but no metrics, callbacks or loggers.

    Args:
        config: config of the train command.
        total_steps: length of the schedule in steps.
    """

    def __init__(self, config: dict[str, Any], total_steps: int) -> None:
        with terminal(), tempfile.TemporaryDirectory() as folder:
            self.classifier, datamodule, trainer = build(config, Path(folder))
        device = trainer.strategy.root_device
        self.classifier.to(device).train()
        self.classifier.setup("fit")
        self.batches = training_batches(datamodule, trainer)
        self.precision = trainer.precision_plugin
        self.clip = config["trainer"]["gradient_clip_val"]
        self.optimizer = build_optimizer(config["optimizer"], self.classifier.net)
        schedule = build_scheduler(
            config["scheduler"], self.optimizer, Steps(total_steps, total_steps)
        )
        assert schedule is not None
        self.scheduler = schedule["scheduler"]

    def step(self) -> None:
        """Runs one training step."""
        x_BCHW, labels_B, _ = next(self.batches)
        with self.precision.forward_context():
            logits_BK = self.classifier(x_BCHW).float()
            loss = self.classifier.objective(logits_BK, labels_B)
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip is not None:
            clip_grad_norm_(self.classifier.net.parameters(), self.clip)
        self.optimizer.step()
        self.scheduler.step()
