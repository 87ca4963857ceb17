"""Cached features: the same samples in the same order as the images."""

import lightning.pytorch as L
import pytest
import torch

from vgg_lit.data import FashionMNISTSample, FlipCrop, ImageDataModule
from vgg_lit.data.cached_features import CachedFeatures


def halves(x_BCHW):
    """Returns features that differ between images."""
    return x_BCHW[:, :, ::2, ::2] * 0.5


@pytest.fixture
def pair():
    """A data module, its cached features with a Trainer, and the sizes of the computed batches."""
    images = ImageDataModule(
        FashionMNISTSample(), batch_size=16, val_fraction=0.01, train_size=50, augment=FlipCrop()
    )
    images.setup()
    calls = []

    def features(x_BCHW):
        calls.append(len(x_BCHW))
        assert not torch.is_grad_enabled()
        return halves(x_BCHW)

    cached = CachedFeatures(images, features)
    cached.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return images, cached, calls


def epoch(loader, number):
    loader.sampler.set_epoch(number)
    return list(loader)


@pytest.mark.parametrize("number", [0, 3])
def test_batches_contain_the_features_of_the_images_of_the_epoch(pair, number):
    images, cached, _ = pair
    found, expected = cached.train_dataloader(), images.train_dataloader()
    assert len(found) == len(expected) == 3
    for batch, image_batch in zip(epoch(found, number), epoch(expected, number), strict=True):
        x_BCHW, labels_B, ids_B = images.to_input(image_batch)  # not augmented
        assert torch.equal(batch[0], halves(x_BCHW))
        assert torch.equal(batch[1], labels_B)
        assert torch.equal(batch[2], ids_B)


def test_features_are_computed_once_per_image(pair):
    _, cached, calls = pair
    loader = cached.train_dataloader()
    assert sum(calls) == 50
    for number in range(3):
        epoch(loader, number)
    assert sum(calls) == 50


def test_validation_visits_every_image_once(pair):
    images, cached, _ = pair
    found, expected = list(cached.val_dataloader()), list(images.val_dataloader())
    assert sum(len(batch[1]) for batch in found) == 60
    for batch, image_batch in zip(found, expected, strict=True):
        assert torch.equal(batch[0], halves(images.to_input(image_batch)[0]))
        assert torch.equal(batch[1], image_batch[1])


def test_without_validation_images_there_is_no_loader():
    images = ImageDataModule(FashionMNISTSample(), val_fraction=0, train_size=10, batch_size=5)
    images.setup()
    cached = CachedFeatures(images, halves)
    cached.trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert cached.val_dataloader() == []
    assert not cached.has_validation


def test_a_loader_resumes_in_mid_epoch(pair):
    _, cached, _ = pair
    loader, again = cached.train_dataloader(), cached.train_dataloader()
    batches = iter(loader)
    next(batches)
    again.load_state_dict(loader.state_dict())
    rest = list(again)
    assert len(rest) == 2
    assert torch.equal(rest[0][2], next(batches)[2])


def test_features_are_computed_in_the_trainers_precision(pair):
    images, _, _ = pair
    cached = CachedFeatures(images, lambda x_BCHW: x_BCHW @ x_BCHW.mT)
    cached.trainer = L.Trainer(
        accelerator="cpu", precision="bf16-mixed", logger=False, enable_checkpointing=False
    )
    assert next(iter(cached.train_dataloader()))[0].dtype == torch.bfloat16
