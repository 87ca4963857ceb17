"""Access to a trained run: its network, its images and its predictions.

inspection = Inspection(find_trained([Run("<run>")], "best")[0], split="test")
inspection.predictions.worst(10)        # positions in the split
inspection.shown([3, 14])               # preprocessed images, as pixels to draw
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from vgg_lit.analysis.embeddings import embed
from vgg_lit.analysis.errors import Predictions
from vgg_lit.analysis.history import History
from vgg_lit.checkpoints.folder import predictions_file
from vgg_lit.classifier import Classifier
from vgg_lit.data.batches import BatchLoader
from vgg_lit.data.custom_batches import PixelBatches
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.images import read_image
from vgg_lit.data.sources import source_of
from vgg_lit.errors import InputError
from vgg_lit.evaluation.evaluation_name import evaluation_name, is_of_run
from vgg_lit.evaluation.image_outcomes import ImageOutcomes
from vgg_lit.evaluation.measured_data import MeasuredData, load_run_data
from vgg_lit.evaluation.scoring import Member
from vgg_lit.evaluation.trained import Trained
from vgg_lit.evaluation.views import Views
from vgg_lit.system.hardware import resolve_precision
from vgg_lit.table_widths import shorten_middle

PREVIEWED = 8
"""Training images in the figure of the augmentation."""

CAPTION = 15
"""Characters of a caption below a small image."""


class Inspection:
    """The predictions, features, images and history of a run, computed at first use.

    Args:
        trained: checkpoint of the run.
        split: "test" or "val".
        batch_size: images per batch; None: the batch size of the run.
        accelerator: kind of device, as in Lightning.
        precision: precision of the predictions, as in Lightning. Everything else is computed in float32.
        data: `data` group of the run with its place on this machine; None: as in the run.

    Raises:
        InputError: the data cannot be used.
    """

    def __init__(
        self,
        trained: Trained,
        split: str = "test",
        batch_size: int | None = None,
        accelerator: str = "auto",
        precision: str = "32-true",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.run, self._trained = trained.run, trained
        self.split = split
        self.precision = precision
        self.checkpoint = trained.checkpoint
        self.classifier = Classifier.load_from_checkpoint(trained.checkpoint)
        self.net = self.classifier.net
        self.classes = self.classifier.classes
        spec = data or self.run.config["data"]
        self._data: Mapping[str, Any] = {
            **spec,
            **source_of(spec),
            "preprocessing": trained.preprocessing,
            "batch_size": batch_size or spec["batch_size"],
        }
        stage = "test" if split == "test" else "validate"
        self.datamodule, self.changes, _ = load_run_data(self.run, self._data, stage)
        self.preprocessing = self.datamodule.preprocessing
        size = self.preprocessing.source_size
        self._member = Member(self.classifier, size, accelerator, precision)
        self.device = self._member.device
        default, _ = resolve_precision(self.run.config["trainer"]["precision"], accelerator)
        self._other_precision = None if precision == default else precision

    @property
    def data_name(self) -> str:
        """The data set, the split and its number of images."""
        count = self.datamodule.sizes[self.split]
        return f"{self.datamodule.source.name}, {self.split}: {count:,} images"

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions for all images of the split."""
        posteriors, labels, self._outcomes = [], [], ImageOutcomes()
        with torch.inference_mode():
            for images_BCHW, labels_B, ids_B in track(
                self._loader, "predicting", transient=True, disable=not sys.stdout.isatty()
            ):
                found_BK = self._member.log_posterior(images_BCHW.to(self.device), Views()).cpu()
                self._outcomes.update(found_BK, labels_B.cpu(), ids_B)
                posteriors.append(found_BK.exp())
                labels.append(labels_B.cpu())
        return Predictions(torch.cat(posteriors), torch.cat(labels))

    @cached_property
    def outcomes(self) -> ImageOutcomes:
        """The outcomes of all images of the split, from the same pass as the predictions."""
        assert len(self.predictions.labels_N)
        return self._outcomes

    @cached_property
    def names(self) -> list[str]:
        """The file of each image of the split, or its index in the data set."""
        return self.datamodule.image_names(self.split, self.outcomes.ids_N)

    @property
    def outcomes_file(self) -> Path:
        """The file for the outcomes; as for `evaluate`, that of the run is for its best checkpoint."""
        if is_of_run([self._trained], True, self._other_precision, None):
            return predictions_file(self.run.path, self.split)
        measured = MeasuredData(self.datamodule, self.split, self.split, {})
        name = evaluation_name(measured, [self._trained], True, self._other_precision, None)
        return self.run.path / "evaluations" / f"predictions_{name}.csv"

    def inputs(self, positions: Sequence[int] | Tensor) -> Tensor:
        """Returns images of the split as network input (B, C, H, W), on its device."""
        wanted = torch.as_tensor(positions, dtype=torch.long)
        if not len(wanted):
            side = self.preprocessing.image_size
            return torch.empty(0, self.preprocessing.in_channels, side, side, device=self.device)
        images_BCHW = torch.cat([images_BCHW for images_BCHW, _, _ in self._loader.at(wanted)])
        return self.preprocessing(images_BCHW).to(self.device)

    def input_of(self, path: str) -> Tensor:
        """Returns an image file as network input (1, C, H, W), on its device.

        Raises:
            InputError: the file is not an image.
        """
        prepare = self.preprocessing
        prepare.check_known(f"image={path}")
        image_CHW = read_image(path, prepare.in_channels, prepare.source_size, fit=prepare.fit)
        return prepare(image_CHW[None]).to(self.device)

    def to_pictures(self, x_BCHW: Tensor) -> np.ndarray:
        """Returns network input as pixels in 0..1 (B, H, W, C); undoes the normalisation of the run."""
        return self.preprocessing.denormalize(x_BCHW.cpu()).movedim(1, -1).numpy()

    def shown(self, positions: Sequence[int] | Tensor) -> np.ndarray:
        """Returns images of the split as pixels in 0..1 (B, H, W, C), in the size of the network input."""
        return self.to_pictures(self.inputs(positions))

    def features(self, most: int) -> tuple[Tensor, Tensor]:
        """Returns embeddings (N, F) of images spread evenly over the split, and their positions."""
        total = self.datamodule.sizes[self.split]
        positions = torch.linspace(0, total - 1, min(most, total)).long()
        x_NCHW = self.inputs(positions)
        parts = [embed(self.net, x_BCHW).cpu() for x_BCHW in x_NCHW.split(128)]
        return torch.cat(parts), positions

    @cached_property
    def training(self) -> ImageDataModule:
        """The training data with small batches, augmented as in the run."""
        datamodule = load_run_data(self.run, self._data, "fit").datamodule
        datamodule.batch_size = min(PREVIEWED, datamodule.sizes["train"])
        return datamodule

    @cached_property
    def history(self) -> History:
        """The metrics of the run by epoch; empty if the run has no `metrics.csv`."""
        callbacks = self.run.config.get("callbacks") or {}
        chosen = callbacks.get("checkpointing") or {}
        names = ("monitor", "mode")
        return History.from_rows(
            self.run.epochs(), **{name: str(chosen[name]) for name in names if name in chosen}
        )

    @property
    def _loader(self) -> BatchLoader | PixelBatches:
        loader = getattr(self.datamodule, f"{self.split}_dataloader")()
        if isinstance(loader, list):
            raise InputError(f"split={self.split}: the run has no such split")
        assert isinstance(loader, BatchLoader | PixelBatches)
        return loader


def short_name(inspection: Inspection, position: int) -> str:
    """Returns the file name of an image without its folders, or `image` and its index."""
    name = inspection.names[position]
    text = f"image {name}" if name.isdigit() else name.rpartition("/")[2]
    return shorten_middle(text, CAPTION)


def outcome(inspection: Inspection, position: int) -> Iterator[str]:
    """Yields lines on one prediction: true class, predicted class if it is wrong, and confidence."""
    found, classes = inspection.predictions, inspection.classes
    true, predicted = int(found.labels_N[position]), int(found.predicted_N[position])
    sure = f"{100 * float(found.confidence_N[position]):.0f} %"
    if true == predicted:
        yield from (classes[true], sure)
    else:
        yield from (classes[true], f"→ {classes[predicted]}", sure)
