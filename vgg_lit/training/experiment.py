"""One experiment: loads the data, trains, tests and records the results."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as L
import torch
from torch import Tensor

from vgg_lit.callbacks import Checkpointing
from vgg_lit.callbacks.pruning import Pruning, Report
from vgg_lit.classifier import Classifier
from vgg_lit.data.cached_features import CachedFeatures
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.unaugmented import training_inputs
from vgg_lit.evaluation.matrices import write_matrices
from vgg_lit.launching.shared_fate import ending_together
from vgg_lit.models.freezing import frozen_depth
from vgg_lit.models.variants import network_name
from vgg_lit.models.vgg import VGG
from vgg_lit.models.whitening import NUM_IMAGES, whiten, whitens
from vgg_lit.optim import Steps
from vgg_lit.runs import Run
from vgg_lit.tables import print_facts, print_metrics
from vgg_lit.training.changed_settings import ChangedSettings
from vgg_lit.training.facts import print_footer, print_header, record_damage, record_weights
from vgg_lit.training.leftovers import set_leftovers_aside
from vgg_lit.training.loggers import inspection_commands, record_end, record_start
from vgg_lit.training.restoring import START, check_state, explain_restoring, sound_checkpoint
from vgg_lit.training.run_data import ACCEPT, load_datamodule, record_data
from vgg_lit.training.trainer import batches_per_epoch, build_trainer, check_sizes
from vgg_lit.weights.fine_tuning import copy_weights, freeze_layers
from vgg_lit.weights.transfer import Transfer


def run_experiment(
    config: dict[str, Any],
    path: Path,
    overrides: Sequence[str],
    resumed: Run | None = None,
    report: Report | None = None,
) -> dict[str, float]:
    """Trains, tests the best checkpoint and records both in the run directory.

    Args:
        config: checked config as plain values.
        path: run directory.
        overrides: overrides of the command line, for the record.
        resumed: run to resume; None starts a new one.
        report: reports the objective of each epoch to a study, see `vgg_lit.callbacks.pruning`.

    Returns:
        The metrics of the tested epoch, and the test metrics.

    Raises:
        InputError: the data or a checkpoint cannot be used.
    """
    datamodule = load_datamodule(config, resumed)
    check_sizes(config, datamodule)
    classifier = build_classifier(config, datamodule)
    if datamodule.sizes["train"] and (ranges := datamodule.image_ranges()):
        classifier.image_ranges = ranges.to_dict()
    start_from = sound_checkpoint(resumed) if resumed else config["ckpt_path"]
    steps = _steps(config, datamodule)
    position = check_state(start_from, config, steps) if start_from else START
    trainer = build_trainer(
        config,
        path,
        batches_per_epoch=batches_per_epoch(config, datamodule),
        has_validation=datamodule.has_validation,
        first_step=position.step if resumed else 0,
        report=report,
    )
    transfer = None
    if start_from:
        classifier.load_weights(start_from)  # reports a mismatch before a run starts
        explain_restoring(trainer, start_from, position.parts)
    else:
        transfer = set_first_weights(config, classifier, datamodule)
    changes = ChangedSettings(config, steps, resumed.config if resumed else None)
    trainer.callbacks.append(changes)  # type: ignore[attr-defined]
    freeze_layers(config, classifier.net)
    run = resumed
    if trainer.is_global_zero and not run:
        set_leftovers_aside(path)
        run = Run.start(path, config, overrides)
    started = time.perf_counter()
    with run.at_work() if run and trainer.is_global_zero else nullcontext():
        if resumed and trainer.is_global_zero:
            resumed.resume({**config, ACCEPT: False}, overrides)
        with ending_together(trainer, path):
            if run and trainer.is_global_zero:
                print_header(run, trainer, classifier, datamodule, config)
                if start_from:
                    print_facts({"resumes": f"{position}, from {start_from}"})
                record_weights(run, classifier, transfer, config)
                record_data(run, datamodule)
                record_damage(run, datamodule)
                record_start(trainer.loggers, config, path)
            with _training_data(config, classifier, datamodule) as data:
                trainer.fit(classifier, datamodule=data, ckpt_path=start_from, weights_only=True)
            pruned = _pruned(trainer)
            is_tested = config["test"] and not pruned and getattr(datamodule, "has_test", True)
            metrics = _tested_metrics(trainer, classifier, datamodule, is_tested)
            metrics["seconds"] = time.perf_counter() - started + _seconds_before(trainer)
            if run and trainer.is_global_zero:
                run.write_metrics(metrics)
                matrices = classifier.split_metrics.matrices
                write_matrices(path, matrices, classifier.classes, "test" if is_tested else "val")
                record_end(trainer.loggers, config, metrics, path, trainer.global_step)
                run.set_status("pruned" if pruned else "done", pruned)
                # Last, because a run that is interrupted before it is done resumes from `last.ckpt`.
                if callback := _checkpointing(trainer):
                    callback.tidy(trainer)
    if run and trainer.is_global_zero:
        if pruned:
            print_facts({"pruned ": pruned})
        title = f"{network_name(config['model'])} on {datamodule.source.name}"
        print_metrics(metrics, f"{title}{_shown_epoch(trainer)}", len(datamodule.classes))
        print_footer(run, inspection_commands(trainer.loggers, config))
    return metrics


def build_classifier(config: Mapping[str, Any], datamodule: ImageDataModule) -> Classifier:
    """Builds the classifier for the classes and preprocessing of the data."""
    classifier = Classifier(
        model=config["model"],
        optimizer=config["optimizer"],
        scheduler=config["scheduler"],
        classes=list(datamodule.classes),
        preprocessing=datamodule.preprocessing.to_dict(),
        loss=config["loss"],
        metrics=config.get("metrics"),
        seed=config["seed"],
        compile=config["compile"],
        small_map_gemm=config["small_map_gemm"],
    )
    assert classifier.split_metrics  # builds the loss and the metrics before a run starts
    return classifier


def set_first_weights(
    config: Mapping[str, Any], classifier: Classifier, datamodule: ImageDataModule
) -> Transfer | None:
    """Sets the weights of a new network that depend on its data or on another network.

    These are the filters of a whitening layer, from training images, and the weights of `init`.

    Returns:
        The copied weights; None if `init.from` is not set.

    Raises:
        ConfigError: there are no such weights, or they do not fit.
    """
    if whitens(classifier.net):
        whiten(classifier.net, training_inputs(datamodule, NUM_IMAGES))
    return copy_weights(config, classifier.net, datamodule.classes)


def _steps(config: Mapping[str, Any], datamodule: ImageDataModule) -> Steps:
    """Returns the steps of the training by `max_epochs`; limits in steps or time are ignored."""
    batches = batches_per_epoch(config, datamodule)
    per_epoch = max(1, math.ceil(batches / config["trainer"]["accumulate_grad_batches"]))
    return Steps(
        total=per_epoch * config["trainer"]["max_epochs"],
        per_epoch=per_epoch,
        has_validation=datamodule.has_validation,
    )


@contextmanager
def _training_data(
    config: Mapping[str, Any], classifier: Classifier, datamodule: ImageDataModule
) -> Iterator[L.LightningDataModule]:
    """Yields the images, or with `cache_features` the output of the frozen first modules for them."""
    if not config["cache_features"]:
        yield datamodule
        return
    net = cast(VGG, classifier.net)
    depth = frozen_depth(net)

    def features(x_BCHW: Tensor) -> Tensor:
        x_BCHW = x_BCHW.to(classifier.dtype, memory_format=torch.channels_last)
        return net.features[:depth](x_BCHW)

    net.first_module = depth
    try:
        yield CachedFeatures(datamodule, features)
    finally:
        net.first_module = 0


def _pruned(trainer: L.Trainer) -> str | None:
    """Returns the reason why a trial of a study was pruned; None if it was not."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((c.reason for c in callbacks if isinstance(c, Pruning)), None)


def _tested_metrics(
    trainer: L.Trainer, classifier: Classifier, datamodule: ImageDataModule, is_tested: bool
) -> dict[str, float]:
    """Returns the metrics of the best epoch (without a validation split the last), and of its test."""
    callback = _checkpointing(trainer)
    tested = callback.best_checkpoint(trainer) if callback else None
    if callback and callback.best_metrics:
        metrics = dict(callback.best_metrics)
    else:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if is_tested:
        if tested:
            # Not with `ckpt_path`: Lightning's weight averaging would restore the raw weights.
            classifier.load_weights(tested)
        trainer.test(classifier, datamodule=datamodule, verbose=False)
        metrics |= {name: float(value) for name, value in trainer.callback_metrics.items()}
    return metrics


def _shown_epoch(trainer: L.Trainer) -> str:
    """Returns the epoch of the final metrics in words; empty if it is not known."""
    callback = _checkpointing(trainer)
    if callback is None or callback.best_score is None:
        return f", epoch {trainer.current_epoch}, the last"
    best = f", the best by {callback.monitor}"
    return f", epoch {callback.best_epoch}{best}" if callback.best_epoch else best


def _seconds_before(trainer: L.Trainer) -> float:
    """Returns the seconds of earlier attempts at the run."""
    callback = _checkpointing(trainer)
    return callback.seconds_before if callback else 0.0


def _checkpointing(trainer: L.Trainer) -> Checkpointing | None:
    """Returns the callback that saves checkpoints; None if there is none."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, Checkpointing)), None)
