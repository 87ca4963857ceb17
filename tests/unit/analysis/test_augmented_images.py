"""The figure of an augmentation: original images, and images as augmented in each epoch."""

import numpy as np
import pytest
import torch

from vgg_lit.analysis.augmented_images import augmented_images
from vgg_lit.data import Compose, CutMix, FashionMNISTSample, FlipCrop, ImageDataModule


def shown(figure, rows):
    """Returns the images of a figure, by row and column."""
    images = [axes.get_images()[0].get_array() for axes in figure.axes]
    return np.array(images).reshape(rows, -1, *images[0].shape)


def datamodule(augment, **options):
    module = ImageDataModule(FashionMNISTSample(), augment=augment, batch_size=4, **options)
    module.setup("fit")
    return module


def test_the_figure_shows_original_and_augmented_images():
    module = datamodule(FlipCrop(padding=4))
    images, labels, ids = next(iter(module.train_dataloader()))
    figure = augmented_images(module, epochs=3)
    grid = shown(figure, 4)
    assert grid.shape == (4, 4, 32, 32)
    padded = torch.nn.functional.pad(images, [2] * 4)[:, 0] / 255
    np.testing.assert_allclose(grid[:, 0], padded, atol=1e-6)
    for epoch in range(3):
        x, _, _ = module.to_input((images, labels, ids), epoch)
        expected = module.preprocessing.denormalize(x)[:, 0]
        np.testing.assert_array_equal(grid[:, epoch + 1], expected)
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["original", "epoch 1", "epoch 2", "epoch 3"]
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == [module.classes[k] for k in labels]
    assert not any(axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize("normalize", ["mean_std", "mean", "none"])
def test_the_figure_undoes_the_normalisation(normalize):
    grid = shown(augmented_images(datamodule(None, normalize=normalize), epochs=1), 4)
    plain = shown(augmented_images(datamodule(None), epochs=1), 4)
    np.testing.assert_allclose(grid, plain, atol=1e-6)


def test_captions_of_mixed_images_show_class_shares():
    module = datamodule(Compose(mixing=CutMix()))
    figure = augmented_images(module, epochs=2)
    batch = next(iter(module.train_dataloader()))
    _, targets, _ = module.to_input(batch, 0)
    for row in range(4):
        original, first, _ = (axes.get_xlabel() for axes in figure.axes[3 * row : 3 * row + 3])
        assert original == ""
        lines = [line.rpartition(" ") for line in first.splitlines()]
        shares = {name: float(share) for name, _, share in lines}
        expected = {module.classes[k]: targets[row, k].item() for k in targets[row].nonzero()}
        assert shares == pytest.approx(expected, abs=0.005)
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
