"""A trained run opened to be looked into: its network, its images, and what it says of them.

inspection = Inspection(find_trained([Run("<run>")], "best")[0], split="test")
inspection.predictions.worst(10)        # positions in the split
inspection.shown([3, 14])               # those images as the network sees them, to be drawn
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from vgg_lit.analysis.embeddings import embed
from vgg_lit.analysis.errors import Predictions
from vgg_lit.analysis.history import History
from vgg_lit.classifier import Classifier
from vgg_lit.data.batches import BatchLoader
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.images import read_image
from vgg_lit.data.sources import build_datamodule, build_source
from vgg_lit.evaluation.scoring import Member
from vgg_lit.evaluation.trained import Trained
from vgg_lit.evaluation.views import Views

PREVIEWED = 8
"""Training images in the picture of the augmentation."""


class Inspection:
    """What there is to see of a run; everything is computed when it is first asked for.

    Args:
        trained: the checkpoint.
        split: "test" or "val".
        batch_size: images at a time; None: the run's.
        accelerator: the kind of device, as Lightning names it.
        precision: of the predictions, as Lightning names it. Everything else is computed in float32.

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
    ) -> None:
        self.run = trained.run
        self.split = split
        self.precision = precision
        self.checkpoint = trained.checkpoint
        self.classifier = Classifier.load_from_checkpoint(trained.checkpoint)
        self.net = self.classifier.net
        self.classes = self.classifier.classes
        spec = self.run.config["data"]
        self._data: Mapping[str, Any] = spec | {
            "source": build_source(spec["source"]),
            "preprocessing": trained.preprocessing,
            "batch_size": batch_size or spec["batch_size"],
        }
        self.datamodule: ImageDataModule = build_datamodule(self._data)
        self.datamodule.prepare_data()
        self.datamodule.setup("test" if split == "test" else "validate")
        self.preprocessing = self.datamodule.preprocessing
        size = self.preprocessing.source_size
        self._member = Member(self.classifier, size, accelerator, precision)
        self.device = self._member.device

    @cached_property
    def predictions(self) -> Predictions:
        """Of all images of the split."""
        posteriors, labels = [], []
        with torch.inference_mode():
            for images_BCHW, labels_B, _ in track(
                self._loader, "predicting", transient=True, disable=not sys.stdout.isatty()
            ):
                found_BK = self._member.log_posterior(images_BCHW.to(self.device), Views()).exp()
                posteriors.append(found_BK.cpu())
                labels.append(labels_B.cpu())
        return Predictions(torch.cat(posteriors), torch.cat(labels))

    def inputs(self, positions: Sequence[int] | Tensor) -> Tensor:
        """Images of the split as the network takes them (B, C, H, W), on its device."""
        wanted = torch.as_tensor(positions, dtype=torch.long)
        if not len(wanted):
            side = self.preprocessing.image_size
            return torch.empty(0, self.preprocessing.in_channels, side, side, device=self.device)
        images_BCHW = torch.cat([images_BCHW for images_BCHW, _, _ in self._loader.at(wanted)])
        return self.preprocessing(images_BCHW).to(self.device)

    def input_of(self, path: str) -> Tensor:
        """An image file as the network takes it (1, C, H, W), on its device.

        Raises:
            InputError: the file is no image.
        """
        prepare = replace(self.preprocessing)
        image_CHW = read_image(path, prepare.in_channels, prepare.source_size)
        return prepare(image_CHW[None]).to(self.device)

    def to_pictures(self, x_BCHW: Tensor) -> np.ndarray:
        """Network input as pixels in 0..1 (B, H, W, C), by the statistics the run was trained with."""
        return self.preprocessing.denormalize(x_BCHW.cpu()).movedim(1, -1).numpy()

    def shown(self, positions: Sequence[int] | Tensor) -> np.ndarray:
        """Images of the split as pixels in 0..1 (B, H, W, C), at the network's side."""
        return self.to_pictures(self.inputs(positions))

    def features(self, most: int) -> tuple[Tensor, Tensor]:
        """Embeddings (N, F) of images that are spread evenly over the split, and their positions."""
        total = self.datamodule.sizes[self.split]
        positions = torch.linspace(0, total - 1, min(most, total)).long()
        x_NCHW = self.inputs(positions)
        parts = [embed(self.net, x_BCHW).cpu() for x_BCHW in x_NCHW.split(128)]
        return torch.cat(parts), positions

    @cached_property
    def training(self) -> ImageDataModule:
        """The training images, a few a batch, augmented as in the run."""
        datamodule: ImageDataModule = build_datamodule(self._data)
        datamodule.setup("fit")
        datamodule.batch_size = min(PREVIEWED, datamodule.sizes["train"])
        return datamodule

    @cached_property
    def history(self) -> History:
        """The metrics of the run's epochs; none if it kept no table."""
        return History.from_rows(self.run.epochs())

    @property
    def _loader(self) -> BatchLoader:
        loader = getattr(self.datamodule, f"{self.split}_dataloader")()
        assert isinstance(loader, BatchLoader)
        return loader


def outcome(inspection: Inspection, position: int) -> Iterator[str]:
    """Lines of text on one prediction: the true class, and for a wrong one what it was taken for."""
    found, classes = inspection.predictions, inspection.classes
    true, predicted = int(found.labels_N[position]), int(found.predicted_N[position])
    sure = f"{100 * float(found.confidence_N[position]):.0f} %"
    if true == predicted:
        yield from (classes[true], sure)
    else:
        yield from (classes[true], f"→ {classes[predicted]}", sure)
