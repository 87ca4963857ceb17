"""The LightningDataModule: train, validation and test splits of a source, as network input."""

from dataclasses import replace
from typing import Any, get_args

import lightning as L
import torch
from torch import Tensor

from vgg_lit.data.augment import Augmentation, Prepared
from vgg_lit.data.batches import (
    Batch,
    BatchLoader,
    EvaluationOrder,
    Order,
    ResidentBatches,
    StreamedBatches,
    TrainingOrder,
)
from vgg_lit.data.draws import Draws
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.preprocessing import Normalization, Preprocessing
from vgg_lit.data.sources import Images, ResidentImages, Source, Split, load_checked
from vgg_lit.data.splits import stratified_subset
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


class ImageDataModule(L.LightningDataModule):
    """Train, validation and test batches of one source, as network input.

    Validation is a stratified part of the official train split; the official test split is used only
    for testing. The Trainer needs `use_distributed_sampler=False`: the loaders shard by rank.

    Args:
        source: source of the images.
        num_classes: number of classes; if given, must equal the source's.
        in_channels: number of image channels; if given, must equal the source's.
        image_size: side of the network's input, pixels.
        batch_size: global batch size, over all ranks, in training and evaluation.
        val_fraction: validation share of the official train split, 0 <= fraction < 1; 0 means no
            validation.
        train_size: number of training images, a stratified subset of the train split without the
            validation images; None: all.
        test_size: number of test images, a stratified subset of the official test split; None: all.
        normalize: "mean_std" (subtract the mean, divide by the deviation), "mean" (subtract only, as
            in the paper) or "none".
        augment: augmentation of training batches: (uint8 images BCHW, Draws) -> images BCHW; None:
            no augmentation.
        seed: seed of the splits, the order and the augmentation.
        preprocessing: preprocessing of a finished run, whose normalisation and image_size are kept;
            None measures the official train split.

    Attributes:
        classes: class names, in label order.
        preprocessing: preprocessing of the network's input; available after `setup`.
    """

    preprocessing: Preprocessing

    def __init__(
        self,
        source: Source,
        num_classes: int | None = None,
        in_channels: int | None = None,
        image_size: int = 32,
        batch_size: int = 128,
        val_fraction: float = 0.1,
        train_size: int | None = None,
        test_size: int | None = None,
        normalize: Normalization = "mean_std",
        augment: Augmentation | None = None,
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.classes = tuple(source.classes)
        self.image_size = image_size
        self.batch_size = batch_size
        self.val_fraction = val_fraction
        self.train_size = train_size
        self.test_size = test_size
        self.normalize = normalize
        self.augment = augment
        self.seed = seed
        if preprocessing is not None:
            self.preprocessing = preprocessing
        self._check_ranges()
        self._check_agreement("num_classes", num_classes, len(self.classes))
        self._check_agreement("in_channels", in_channels, source.in_channels)
        if preprocessing is not None:
            self._check_agreement("in_channels", preprocessing.in_channels, source.in_channels)
        self._images: dict[Split, Images] = {}
        # per "train", "val" and "test": indices into the official split
        self._ids: dict[str, Tensor] = {}
        self._train_order: TrainingOrder | None = None
        self._statistics: ChannelStatistics | None = None

    def prepare_data(self) -> None:
        """Downloads or decodes missing data (one process per node)."""
        self.source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Loads and splits the data of a stage: fit, validate, test, or all (None)."""
        if stage != "test" or not hasattr(self, "preprocessing"):
            self._load("train")
        if stage in (None, "test"):
            self._load("test")

    @property
    def sizes(self) -> dict[str, int]:
        """Number of images in each split that is set up: "train", "val" and "test"."""
        return {name: len(ids) for name, ids in self._ids.items()}

    @property
    def training_labels(self) -> Tensor:
        """Labels (N,) of the images that are trained on, available after `setup`."""
        return self._images["train"].labels_N[self._ids["train"]]

    def train_dataloader(self) -> BatchLoader:
        """Returns a resumable loader, shuffled by (seed, epoch).

        It is not reshuffled under `Trainer(overfit_batches=...)`.
        """
        rank, world_size = self._rank_and_world_size()
        num_images = len(self._ids["train"])
        reshuffle = not getattr(self.trainer, "overfit_batches", 0)
        order = TrainingOrder(num_images, self.batch_size, self.seed, rank, world_size, reshuffle)
        self._train_order = order
        return self._loader("train", "train", order)

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Returns a loader of every validation image once.

        If val_fraction is 0, returns an empty list, which Lightning treats as no loader.
        """
        return self._evaluation_loader("train", "val") if len(self._ids["val"]) else []

    def test_dataloader(self) -> BatchLoader:
        """Returns a loader of every test image once."""
        return self._evaluation_loader("test", "test")

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Returns the network input of a batch on the device, augmented in training."""
        if self.trainer is None or not self.trainer.training:
            return self.to_input(batch)
        assert self._train_order is not None
        # the epoch of the order that produced the batch, so that both always agree
        return self.to_input(batch, self._train_order.epoch)

    def to_input(self, batch: Batch, epoch: int | None = None) -> Batch:
        """Returns the network input (float32, normalised) of a batch of source images.

        If training images are mixed, class probabilities (B, K) replace the labels.

        Args:
            batch: uint8 images, labels and sample ids.
            epoch: training epoch of the augmentation; None: no augmentation.
        """
        images_BCHW, targets, ids_B = batch
        images_BCHW = self.preprocessing.pad(images_BCHW)
        if self.augment is not None and epoch is not None:
            draws = Draws(self.seed, epoch, ids_B)
            images_BCHW = self.augment(images_BCHW, draws)
            mixing = getattr(self.augment, "mixing", None)
            if mixing is not None:
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
        ids = torch.arange(len(images.labels_N))
        if split == "train":
            size = round(self.val_fraction * len(ids))
            in_val = stratified_subset(images.labels_N, ids, size, self.seed, "validation split")
            self._ids["train"] = self._subset("train_size", self.train_size, images, ids[~in_val])
            self._ids["val"] = ids[in_val]
        else:
            self._ids["test"] = self._subset("test_size", self.test_size, images, ids)
        self._set_preprocessing(images)
        if split == "train" and isinstance(self.augment, Prepared):
            self._prepare_augment(self._statistics or images.statistics())
        self._images[split] = images

    def _subset(self, option: str, size: int | None, images: Images, ids: Tensor) -> Tensor:
        if size is None:
            return ids
        if size > len(ids):
            raise InputError(
                f"{option}={size}: only {len(ids)} images available;"
                f" allowed: at most {len(ids)}, or null for all"
            )
        return ids[stratified_subset(images.labels_N[ids], ids, size, self.seed, option)]

    def _set_preprocessing(self, images: Images) -> None:
        """Measures this source, or adapts the given preprocessing to its image size."""
        if hasattr(self, "preprocessing"):
            self.preprocessing = replace(self.preprocessing, source_size=images.size)
        else:
            self._statistics = images.statistics()
            self.preprocessing = Preprocessing.measured(
                images.size, self.image_size, self._statistics, self.normalize
            )

    def _prepare_augment(self, statistics: ChannelStatistics) -> None:
        self._statistics = statistics
        if isinstance(self.augment, Prepared):
            self.augment.prepare(self.preprocessing.padded_size, statistics)

    def _evaluation_loader(self, split: Split, name: str) -> BatchLoader:
        rank, world_size = self._rank_and_world_size()
        order = EvaluationOrder(len(self._ids[name]), self.batch_size, rank, world_size)
        return self._loader(split, name, order)

    def _loader(self, split: Split, name: str, order: Order) -> BatchLoader:
        images, ids = self._images[split], self._ids[name]
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if isinstance(images, ImageFiles):
            return StreamedBatches(images, ids, order, device)
        # train and validation share one copy on the device
        resident = ResidentImages(images.images_NCHW.to(device), images.labels_N)
        self._images[split] = resident
        return ResidentBatches(resident.images_NCHW, resident.labels_N, ids, order)

    def _rank_and_world_size(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _check_agreement(self, option: str, given: int | None, actual: int) -> None:
        if given is not None and given != actual:
            raise InputError(
                f"{option}={given}: does not match {self.source.name}, which has {actual}"
            )

    def _check_ranges(self) -> None:
        if self.normalize not in get_args(Normalization):
            allowed = ", ".join(get_args(Normalization))
            raise InputError(f"normalize={self.normalize}: unknown; allowed: {allowed}")
        if self.image_size < 1:
            raise InputError(f"image_size={self.image_size}: must be at least 1 pixel")
        if self.batch_size < 1:
            raise InputError(f"batch_size={self.batch_size}: must be at least 1 image")
        if not 0 <= self.val_fraction < 1:
            raise InputError(f"val_fraction={self.val_fraction}: must be at least 0 and below 1")
        for option, size in (("train_size", self.train_size), ("test_size", self.test_size)):
            if size is not None and size < 1:
                raise InputError(f"{option}={size}: must be at least 1 image, or null for all")
