"""The LightningDataModule: train, validation and test splits of a source, as network input."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import lightning as L
import torch
from torch import Tensor

from vgg_lit.data.augment import Augmentation, Prepared
from vgg_lit.data.batches import Batch, BatchLoader, ResidentBatches, StreamedBatches
from vgg_lit.data.data_record import DataRecord
from vgg_lit.data.datamodule_options import check_options
from vgg_lit.data.draws import Draws, EpochTables
from vgg_lit.data.image_ranges import ImageRanges, measure_ranges
from vgg_lit.data.orders import EvaluationOrder, Order, TrainingOrder
from vgg_lit.data.partition import load_validation, testing, training_and_validation
from vgg_lit.data.preprocessing import Normalization, Preprocessing
from vgg_lit.data.sources import (
    Images,
    ResidentImages,
    Source,
    Split,
    has_validation,
    has_whole,
    image_names,
    load_checked,
)
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.data.user_code import prepare_source
from vgg_lit.value_types import Fit, Splitting


class ImageDataModule(L.LightningDataModule):
    """Train, validation and test batches of one source, as network input.

    Validation is the official validation split of the source, or else a part or a fold of the official train
    split; the official test split is used only for testing. The Trainer needs
    `use_distributed_sampler=False`: the loaders shard by rank.

    Args:
        source: source of the images.
        num_classes: number of classes; if given, must equal the source's.
        in_channels: number of image channels; if given, must equal the source's.
        image_size: side of the network's input, pixels.
        batch_size: global batch size, over all ranks, in training and evaluation.
        val_fraction: validation share of the official train split, 0 <= fraction < 1; 0 means no
            validation. A source with an official validation split ignores other values.
        folds: number of folds of the official train split, in place of other validation; None: no folds.
        fold: fold to validate on, 0 <= fold < folds; the others are trained on.
        train_size: number of training images, a stratified subset; None: all.
        test_size: number of test images, a stratified subset of the official test split; None: all.
        normalize: "mean_std" (subtract the mean, divide by the deviation), "mean" (subtract) or "none".
        augment: augmentation of training batches, (uint8 images BCHW, Draws) -> images BCHW; or None.
        seed: seed of the splits, the order and the augmentation.
        fit: way to a square image, kept in the checkpoint; None: the source's `fit`, or "crop".
        balanced: True trains on each class equally often, see `vgg_lit.data.balancing`.
        splitting: rule that draws held-out images that have file names, see `vgg_lit.data.splits`.
        preprocessing: preprocessing of a run, kept except for its source_size; None measures images.

    Attributes:
        classes: class names, in label order.
        preprocessing: preprocessing of the network's input; available after `setup`.
        assigned: recorded split of each image by path, see `vgg_lit.data.recording`; None: the splits
            follow from the options.
        accepted: record of the data with changes that the user has accepted, to be written.
    """

    preprocessing: Preprocessing
    assigned: Mapping[str, str] | None = None
    accepted: DataRecord | None = None

    def __init__(
        self,
        source: Source,
        num_classes: int | None = None,
        in_channels: int | None = None,
        image_size: int = 32,
        batch_size: int = 128,
        val_fraction: float = 0.1,
        folds: int | None = None,
        fold: int | None = None,
        train_size: int | None = None,
        test_size: int | None = None,
        normalize: Normalization = "mean_std",
        augment: Augmentation | None = None,
        seed: int = 0,
        balanced: bool = False,
        splitting: Splitting = "stable",
        fit: Fit | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.classes = tuple(source.classes)
        self.image_size = image_size
        self.batch_size = batch_size
        self.val_fraction, self.folds, self.fold = val_fraction, folds, fold
        self.train_size, self.test_size = train_size, test_size
        self.normalize = normalize
        self.augment = augment
        self.seed = seed
        self.balanced = balanced
        self.splitting: Splitting = splitting
        if hasattr(source, "splitting"):
            source.splitting = splitting
        self.fit: Fit = fit if fit else getattr(source, "fit", "crop")
        if preprocessing is not None:
            self.preprocessing = preprocessing
        check_options(self, num_classes, in_channels)
        self._images: dict[Split, Images] = {}
        # per "train", "val" and "test": indices into the official split that has its images
        self._ids: dict[str, Tensor] = {}
        self._train_order: TrainingOrder | None = None
        self._tables: EpochTables | None = None
        self._statistics: ChannelStatistics | None = None

    def prepare_data(self) -> None:
        """Downloads or decodes missing data; processes on one machine wait for each other."""
        prepare_source(self.source)

    def setup(self, stage: str | None = None) -> None:
        """Loads and splits the data of a stage: fit, validate, test, or all (None)."""
        if stage != "test" or not hasattr(self, "preprocessing"):
            self._load("train")
        if stage in (None, "test"):
            self._load("test")

    @property
    def has_validation(self) -> bool:
        """Returns True if there are validation images; after `setup("fit")`."""
        expected = bool(self.folds) or self.val_fraction > 0
        return len(self._ids["val"]) > 0 if "val" in self._ids else expected

    @property
    def class_sizes(self) -> dict[str, list[int]]:
        """Number of images of each class in each split that is set up."""
        sizes = {}
        for name in self._ids:
            images, ids = self.stored(name)
            sizes[name] = images.labels_N[ids].bincount(minlength=len(self.classes)).tolist()
        return sizes

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images in each split that is set up: "train", "val" and "test"."""
        return {name: len(ids) for name, ids in self._ids.items()}

    @property
    def official_images(self) -> dict[Split, Images]:
        """The images of each official split that is set up."""
        return dict(self._images)

    def stored(self, name: str) -> tuple[Images, Tensor]:
        """Returns the official split that has the images of "train", "val" or "test", and their positions."""
        return self._images[self._stored_in(name)], self._ids[name]

    def image_ranges(self) -> ImageRanges:
        """Measures the pixel statistics of the training images; after `setup("fit")`."""
        return measure_ranges(*self.stored("train"))

    def image_names(self, split: str, ids: Tensor) -> list[str]:
        """Returns the files of images of "train", "val" or "test", or their ids if there are no files."""
        stored = self._stored_in(split)
        return image_names(self._images[stored], ids - self._first_id(stored))

    @property
    def training_labels(self) -> Tensor:
        """Labels (N,) of the images that are trained on, available after `setup`."""
        images, ids = self.stored("train")
        return images.labels_N[ids]

    def train_dataloader(self) -> BatchLoader:
        """Returns a resumable loader, shuffled by (seed, epoch), but once under `overfit_batches`."""
        reshuffle = not getattr(self.trainer, "overfit_batches", 0)
        labels_M = self.training_labels if self.balanced else None
        count, ranks = len(self._ids["train"]), self._rank_and_world_size()
        order = TrainingOrder(count, self.batch_size, self.seed, *ranks, reshuffle, labels_M)
        self._train_order = order
        return self._loader("train", order, getattr(self.augment, "whole", False))

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Returns a loader of every validation image once; [] if there are none, as Lightning needs."""
        return self._evaluation_loader("val") if len(self._ids["val"]) else []

    def test_dataloader(self) -> BatchLoader:
        """Returns a loader of every test image once."""
        return self._evaluation_loader("test")

    def whole_dataloader(self, split: str) -> BatchLoader | None:
        """Returns a loader of the same images as `Rectangles`; None if the network sees them whole."""
        return self._evaluation_loader(split, True) if has_whole(self.source) else None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Returns the network input of a batch on the device, augmented in training."""
        if self.trainer is None or not self.trainer.training:
            return self.to_input(batch)
        assert self._train_order is not None
        if self._tables is None and not self.balanced:  # repeated images have ids of any size
            self._tables = EpochTables(int(self._ids["train"].max()) + 1)
        # the epoch of the order that produced the batch, so that both always agree
        draws = Draws(self.seed, self._train_order.epoch, batch[2], self._tables)
        return self._to_input(batch, draws)

    def to_input(self, batch: Batch, epoch: int | None = None) -> Batch:
        """Returns the network input (float32, normalised) of a batch of source images.

        If training images are mixed, class probabilities (B, K) replace the labels.

        Args:
            batch: uint8 images, labels and sample ids.
            epoch: training epoch of the augmentation; None: no augmentation.
        """
        return self._to_input(batch, None if epoch is None else Draws(self.seed, epoch, batch[2]))

    def _to_input(self, batch: Batch, draws: Draws | None) -> Batch:
        images_BCHW, targets, ids_B = batch
        images_BCHW = self.preprocessing.pad(images_BCHW)
        if self.augment is not None and draws is not None:
            images_BCHW = self.augment(images_BCHW, draws)
            if (mixing := getattr(self.augment, "mixing", None)) is not None:
                images_BCHW, targets = mixing(images_BCHW, targets, draws, len(self.classes))
        x_BCHW = self.preprocessing.normalize(self.preprocessing.resize(images_BCHW))
        return x_BCHW, targets, ids_B

    def state_dict(self) -> dict[str, Any]:
        """Returns the training-image statistics that augmentation uses, for a resumed run."""
        return {} if self._statistics is None else {"statistics": self._statistics._asdict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the statistics of a checkpoint; they replace newly measured ones."""
        self._prepare_augment(ChannelStatistics(**state_dict["statistics"]))

    def _load(self, split: Split) -> None:
        if split in self._images:
            return
        images = load_checked(self.source, split)
        if split == "train":
            own = None
            if self.has_own_validation:
                own = self._images["val"] = load_validation(self.source, images.size)
            self._ids["train"], self._ids["val"] = training_and_validation(self, images, own)
        else:
            self._ids["test"] = testing(self, images)
        self._set_preprocessing(images)
        if split == "train" and isinstance(self.augment, Prepared):
            self._prepare_augment(self._statistics or images.statistics())
        self._images[split] = images

    @property
    def has_own_validation(self) -> bool:
        """True if the official validation split of the source is the validation split."""
        return not self.folds and self.val_fraction > 0 and has_validation(self.source)

    def _stored_in(self, name: str) -> Split:
        """Returns the official split that has the images of "train", "val" or "test"."""
        if name == "val" and not self.has_own_validation:
            return "train"
        return cast(Split, name)

    def _set_preprocessing(self, images: Images) -> None:
        """Measures this source, or adapts the given preprocessing to its image size."""
        if hasattr(self, "preprocessing"):
            self.preprocessing = replace(self.preprocessing, source_size=images.size)
        else:
            self._statistics = images.statistics()
            self.preprocessing = Preprocessing.measured(
                images.size, self.image_size, self._statistics, self.normalize, self.fit
            )

    def _prepare_augment(self, statistics: ChannelStatistics) -> None:
        self._statistics = statistics
        if isinstance(self.augment, Prepared):
            self.augment.prepare(self.preprocessing.padded_size, statistics)

    def _evaluation_loader(self, name: str, whole: bool = False) -> BatchLoader:
        order = EvaluationOrder(len(self._ids[name]), self.batch_size, *self._rank_and_world_size())
        return self._loader(name, order, whole)

    def _loader(self, name: str, order: Order, whole: bool = False) -> BatchLoader:
        split = self._stored_in(name)
        images, ids = self.stored(name)
        first_id = self._first_id(split)
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if whole and has_whole(self.source) and not self.preprocessing.pads:
            images = self.source.load_whole(split)
        if not isinstance(images, ResidentImages):
            return StreamedBatches(images, ids, order, device, first_id)
        # train and validation share one copy on the device
        self._images[split] = images = replace(images, images_NCHW=images.images_NCHW.to(device))
        return ResidentBatches(images.images_NCHW, images.labels_N, ids, order, first_id)

    def _first_id(self, split: Split) -> int:
        """Ids of an own validation split continue those of the train split: their draws share streams."""
        return len(self._images["train"].labels_N) if split == "val" else 0

    def _rank_and_world_size(self) -> tuple[int, int]:
        trainer = self.trainer
        return (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
