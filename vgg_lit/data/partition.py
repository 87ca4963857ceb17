"""The images of a data module's splits, as positions in the official splits of its source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vgg_lit.data.sources import Images, Source, load_checked
from vgg_lit.data.splits import name_keys, stable_subset, stratified_folds, stratified_subset
from vgg_lit.errors import InputError

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule

VALIDATION = "validation split"
"""The stream of draws of validation images."""


def training_and_validation(
    data: "ImageDataModule", images: Images, own: Images | None
) -> tuple[Tensor, Tensor]:
    """Returns the positions of the training and of the validation images.

    Args:
        data: the data module.
        images: images of the official training split.
        own: images of an official validation split; None: some of `images` are for validation.

    Raises:
        InputError: there are fewer images than `train_size` or than folds.
    """
    ids = torch.arange(len(images.labels_N))
    if data.assigned is not None:
        val = _assigned(data, own or images, "val")
        return _assigned(data, images, "train"), val
    if own:
        return _training(data, images, ids), torch.arange(len(own.labels_N))
    paths = images.paths if data.splitting == "stable" else None
    in_val = draw_validation(data, images.labels_N, paths)
    return _training(data, images, ids[~in_val]), ids[in_val]


def load_validation(source: Source, size: int) -> Images:
    """Loads the official validation split.

    Raises:
        InputError: its images differ in size from the training images.
    """
    images = load_checked(source, "val")
    if images.size != size:
        raise InputError(
            f"{source.name}: validation images have {images.size} pixels, training images {size}; they "
            "must be the same"
        )
    return images


def testing(data: "ImageDataModule", images: Images) -> Tensor:
    """Returns the positions of the test images in the official test split.

    Raises:
        InputError: there are fewer images than `test_size`.
    """
    if data.assigned is not None:
        return _assigned(data, images, "test")
    labels_N = images.labels_N
    return sized("test_size", data.test_size, data.seed, labels_N, torch.arange(len(labels_N)))


def draw_validation(
    data: "ImageDataModule", labels_N: Tensor, paths: Sequence[str] | None
) -> Tensor:
    """Returns the mask (N,) of the validation images: a fold, or a share of each class.

    Without folds, a training image of each class remains.

    Args:
        data: the data module with the number of folds or the share.
        labels_N: label of each image.
        paths: file of each image, which alone draws it; None: drawn by position.

    Raises:
        InputError: there are fewer images than folds.
    """
    keys = None if paths is None else name_keys(paths)
    ids = torch.arange(len(labels_N))
    if data.folds:
        if data.folds > len(ids):
            raise InputError(
                f"folds={data.folds}: more than the {len(ids):,} training images; allowed: 2 to "
                f"{len(ids)}"
            )
        assert data.fold is not None
        numbered = ids if keys is None else keys
        return stratified_folds(labels_N, numbered, data.folds, data.seed).eq(data.fold)
    if keys is not None:
        return stable_subset(labels_N, keys, data.val_fraction, data.seed, VALIDATION, keep=1)
    size = round(data.val_fraction * len(ids))
    return stratified_subset(labels_N, ids, size, data.seed, VALIDATION, keep=1)


def _assigned(data: "ImageDataModule", images: Images, split: str) -> Tensor:
    """Returns the positions of the images that a record assigns to a split."""
    assert data.assigned is not None
    assert images.paths is not None
    found = [i for i, path in enumerate(images.paths) if data.assigned.get(path) == split]
    return torch.tensor(found, dtype=torch.int64)


def _training(data: "ImageDataModule", images: Images, ids: Tensor) -> Tensor:
    return sized("train_size", data.train_size, data.seed, images.labels_N, ids)


def sized(option: str, size: int | None, seed: int, labels_N: Tensor, ids: Tensor) -> Tensor:
    """Returns the ids of a stratified subset of `size` images; all ids if size is None.

    Args:
        option: setting of the size.
        size: number of images.
        seed: seed of the splits.
        labels_N: label of each image of the official split.
        ids: positions in `labels_N` to choose from.

    Raises:
        InputError: there are fewer images; the message names the option.
    """
    if size is None:
        return ids
    if size > len(ids):
        raise InputError(
            f"data.{option}={size}: only {len(ids)} images available;"
            f" allowed: at most {len(ids)}, or null for all"
        )
    return ids[stratified_subset(labels_N[ids], ids, size, seed, option)]
