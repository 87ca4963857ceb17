"""Trained networks of runs, checked against the views and data of an evaluation.

This module neither loads weights onto a device nor imports Lightning, so that errors are reported fast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.data.custom_groups import is_custom
from vgg_lit.errors import InputError
from vgg_lit.targets import check_type
from vgg_lit.value_types import Fraction, PositiveInt, Precision, Spec, as_written

if TYPE_CHECKING:
    from vgg_lit.data.image_ranges import ImageRanges
    from vgg_lit.data.preprocessing import Preprocessing
    from vgg_lit.data.sources import Source
    from vgg_lit.evaluation.views import Views
    from vgg_lit.runs import Run

NEEDED: dict[str, dict[str, Any]] = {
    "data": {"source": Spec, "batch_size": PositiveInt, "val_fraction": Fraction, "seed": int},
    "trainer": {"precision": Precision},
    "model": {},
}
"""Required settings of a run's config, with their types."""


@dataclass(frozen=True)
class Trained:
    """A trained network: a checkpoint of a run.

    Attributes:
        run: run that wrote the checkpoint.
        checkpoint: checkpoint file.
        hyperparameters: hyperparameters of the classifier, from the checkpoint.
        stored_ranges: ranges of the training images, from the checkpoint; None: not measured.
        step: optimiser steps of the checkpoint.
    """

    run: "Run"
    checkpoint: Path
    hyperparameters: Mapping[str, Any]
    stored_ranges: Any = None
    step: int = 0

    @property
    def preprocessing(self) -> "Preprocessing":
        """The preprocessing of the network's input."""
        from vgg_lit.data.preprocessing import Preprocessing

        return Preprocessing.from_dict(self.hyperparameters["preprocessing"])

    @property
    def image_ranges(self) -> "ImageRanges | None":
        """The pixel statistics of the training images; None if the checkpoint has none.

        Raises:
            InputError: they are invalid.
        """
        from vgg_lit.data.image_ranges import ImageRanges

        if self.stored_ranges is None:
            return None
        try:
            return ImageRanges.from_dict(self.stored_ranges)
        except InputError as error:
            raise InputError(f"{self.checkpoint}: {error}") from None

    def check_views(self, asked: "Sequence[Views]") -> None:
        """Checks that the network supports the views.

        Raises:
            InputError: a scale or crop does not fit the network, or it has no dense form.
        """
        smallest_dense = 1
        if any(views.is_dense for views in asked):
            from vgg_lit.models.dense import DenseVGG
            from vgg_lit.system.weightless import build_without_weights

            net = build_without_weights(self.hyperparameters["model"])
            smallest_dense = DenseVGG(net).smallest_image_size
        for views in asked:
            views.check(self.preprocessing.image_size, smallest_dense)

    def check_source(self, source: "Source") -> None:
        """Checks that a data source has the channels, the classes and the fit of the network.

        Raises:
            InputError: they differ.
        """
        of_run, of_data = tuple(self.hyperparameters["classes"]), source.classes
        if of_run != of_data:
            only_run = [name for name in of_run if name not in of_data][:3]
            only_data = [name for name in of_data if name not in of_run][:3]
            raise InputError(
                f"data={source.name}: its {len(of_data)} classes differ from the {len(of_run)} of"
                f" {self.run.path} (only in the run: {', '.join(only_run) or 'none'};"
                f" only in the data: {', '.join(only_data) or 'none'});"
                " names and order must be equal"
            )
        fit = getattr(source, "fit", self.preprocessing.fit)
        if fit != self.preprocessing.fit:
            raise InputError(
                f"run={self.run.path}: was trained with data.fit={self.preprocessing.fit}, these images are "
                f"read with {fit}; evaluate the run alone"
            )
        channels = self.preprocessing.in_channels
        if channels != source.in_channels:
            raise InputError(
                f"run={self.run.path}: takes {channels}-channel images; data={source.name} has"
                f" {source.in_channels} channels"
            )

    def check_validation(self, data: Mapping[str, Any], is_official: bool = False) -> None:
        """Checks that the network was not trained on validation images of a `data` group.

        Args:
            data: the group.
            is_official: True if the data set has an official validation split, which only folds replace.

        Raises:
            InputError: the run has another validation split.
        """
        own = self.run.config["data"]
        if is_custom(own) or is_custom(data):
            return  # the data module chooses its images
        if is_official and not (own.get("folds") or data.get("folds")):
            return  # no run is trained on the official validation split
        share = ("val_fraction",) if not data.get("folds") else ()
        for key in ("seed", "folds", "fold", *share):
            if own.get(key) != data.get(key):
                value, other = as_written(own.get(key)), as_written(data.get(key))
                raise InputError(
                    f"split=val: run={self.run.path} has data.{key}={value} instead of {other}"
                    " and was trained on some of these images; allowed: test"
                )


def has_validation_split(data: Mapping[str, Any]) -> bool:
    """Returns True if a `data` group leaves images for validation; its own data module may have some."""
    return is_custom(data) or bool(data.get("folds") or data["val_fraction"])


def find_trained(runs: "Sequence[Run]", checkpoint: str) -> list[Trained]:
    """Returns the checkpoint with the given name of each run.

    Raises:
        InputError: there is no such checkpoint, a config lacks a setting, or one file is given for
            several runs.
    """
    from vgg_lit.checkpoints.weights import read_trained  # imports torch

    if len(runs) > 1 and Path(checkpoint).is_file():
        raise InputError(
            f"checkpoint={checkpoint}: one file for {len(runs)} runs; allowed: best, last"
        )
    found = []
    for run in runs:
        _check_config(run)
        file = run.checkpoint(checkpoint)
        content = read_trained(file)
        if not content["hyper_parameters"].get("preprocessing"):
            raise InputError(f"{file}: holds no preprocessing, so it cannot take images")
        ranges = content["vgg_lit"].get("image_ranges")
        step = content.get("global_step")
        step = step if isinstance(step, int) else 0
        found.append(Trained(run, file, content["hyper_parameters"], ranges, step))
    return found


def _check_config(run: "Run") -> None:
    """Raises if a run's config lacks a setting of `NEEDED`."""
    config = run.config
    try:
        for section, keys in NEEDED.items():
            values = config.get(section)
            if section == "data" and isinstance(values, Mapping) and is_custom(values):
                continue
            if not isinstance(values, Mapping):
                raise InputError(f"has no {section}")
            for key, annotation in keys.items():
                if key not in values:
                    raise InputError(f"has no {section}.{key}")
                check_type(values[key], annotation, key=f"{section}.{key}")
    except InputError as error:
        raise InputError(f"{run.config_file}: {error}") from None
