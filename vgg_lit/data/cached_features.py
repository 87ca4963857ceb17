"""Batches of cached features: outputs of frozen first layers, computed once per image."""

from collections.abc import Callable

import lightning as L
import torch
from torch import Tensor

from vgg_lit.data.batches import BatchLoader, ResidentBatches
from vgg_lit.data.datamodule import ImageDataModule


class CachedFeatures(L.LightningDataModule):
    """The training and validation batches of another data module, with features in place of images.

    The features are computed when a loader is created, in the Trainer's precision, and stay on the
    device. Order, sharding over ranks and resuming are those of the image loaders.

    Args:
        images: data module of the images, already set up. Its augmentation is not applied, because
            it would change the features in each epoch.
        features: function from a batch of network input to features, in evaluation mode.
    """

    def __init__(self, images: ImageDataModule, features: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.images = images
        self.features = features
        self.has_validation = images.has_validation

    def train_dataloader(self) -> BatchLoader:
        """Returns the features of the training images."""
        self.images.trainer = self.trainer
        return self._cached(self.images.train_dataloader())

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """Returns the features of the validation images; an empty list if there are none."""
        self.images.trainer = self.trainer
        loader = self.images.val_dataloader()
        return self._cached(loader) if isinstance(loader, BatchLoader) else loader

    @torch.no_grad()
    def _cached(self, loader: BatchLoader) -> BatchLoader:
        assert self.trainer is not None
        device = self.trainer.strategy.root_device
        rows = int(loader.ids_M.max()) + 1
        labels_N = torch.zeros(rows, dtype=torch.int64)
        features_NCHW: Tensor | None = None
        for batch in loader.in_order():
            images_BCHW, labels_B, ids_B = (tensor.to(device) for tensor in batch)
            x_BCHW, *_ = self.images.to_input((images_BCHW, labels_B, ids_B))
            with self.trainer.precision_plugin.forward_context():
                features_BCHW = self.features(x_BCHW)
            if features_NCHW is None:
                features_NCHW = features_BCHW.new_zeros(rows, *features_BCHW.shape[1:])
            rows_B = ids_B - loader.first_id  # the image's index in its split
            features_NCHW[rows_B] = features_BCHW
            labels_N[rows_B.cpu()] = labels_B.cpu()
        assert features_NCHW is not None, "a loader has at least one image"
        return ResidentBatches(
            features_NCHW, labels_N, loader.ids_M, loader.sampler, loader.first_id
        )
