import json

import pytest
import torch

from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.statistics import ChannelStatistics


def make(source_size, image_size, channels=1):
    mean = (0.25, 0.5, 0.75)[:channels]
    return Preprocessing(channels, source_size, image_size, mean, (0.5, 0.25, 0.2)[:channels])


def test_small_differences_are_padded_symmetrically():
    images = torch.randint(1, 256, (2, 1, 28, 28), dtype=torch.uint8)
    fitted = make(28, 32).to_image_size(images)
    assert fitted.shape == (2, 1, 32, 32)
    assert fitted.dtype == torch.uint8
    assert torch.equal(fitted[:, :, 2:30, 2:30], images)
    assert fitted.int().sum() == images.int().sum()


def test_an_odd_pixel_is_padded_at_the_right_and_bottom():
    images = torch.ones(1, 1, 29, 29, dtype=torch.uint8)
    fitted = make(29, 32).to_image_size(images)
    assert fitted[0, 0, 0].sum() == 0
    assert torch.equal(fitted[:, :, 1:30, 1:30], images)


def test_images_of_the_same_size_are_unchanged():
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert make(32, 32, 3).to_image_size(images) is images


@pytest.mark.parametrize("image_size", [224, 37, 16])
def test_other_sizes_are_resized_with_antialias(image_size):
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    preprocessing = make(32, image_size, 3)
    fitted = preprocessing.to_image_size(images)
    assert fitted.shape == (2, 3, image_size, image_size)
    assert preprocessing.pad(images) is images
    if image_size == 16:  # antialiasing preserves the mean; taking every second pixel would not
        assert fitted.mean().item() == pytest.approx(images.float().mean().item(), rel=0.01)


@pytest.mark.parametrize(("source_size", "image_size"), [(28, 32), (32, 32), (32, 40)])
def test_normalize(source_size, image_size):
    images = torch.randint(0, 256, (2, 3, source_size, source_size), dtype=torch.uint8)
    preprocessing = make(source_size, image_size, 3)
    x = preprocessing(images)
    mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(preprocessing.std).view(3, 1, 1)
    fitted = preprocessing.to_image_size(images).float() / 255
    torch.testing.assert_close(x, (fitted - mean) / std)
    torch.testing.assert_close(preprocessing.denormalize(x), fitted, atol=1e-6, rtol=0)


def test_normalize_does_not_change_its_argument():
    images = torch.rand(1, 1, 4, 4) * 255
    before = images.clone()
    make(4, 4).normalize(images)
    assert torch.equal(images, before)


def test_dict_round_trip_is_plain():
    preprocessing = make(28, 32, 3)
    values = preprocessing.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert Preprocessing.from_dict(values) == preprocessing


STATISTICS = ChannelStatistics((0.2, 0.4), (0.5, 0.25), ((0.25, 0.0), (0.0, 0.0625)))


@pytest.mark.parametrize(
    ("normalize", "mean", "std"),
    [
        ("mean_std", (0.2, 0.4), (0.5, 0.25)),
        ("mean", (0.2, 0.4), (1.0, 1.0)),
        ("none", (0.0, 0.0), (1.0, 1.0)),
    ],
)
def test_normalize_selects_the_statistics(normalize, mean, std):
    preprocessing = Preprocessing.measured(8, 8, STATISTICS, normalize)
    assert preprocessing == Preprocessing(2, 8, 8, mean, std)
    images = torch.randint(0, 256, (3, 2, 8, 8), dtype=torch.uint8)
    scaled = images / 255 - torch.tensor(mean).view(2, 1, 1)
    torch.testing.assert_close(preprocessing(images), scaled / torch.tensor(std).view(2, 1, 1))
    # the checkpoint's dictionary restores it
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing


def test_augmented_images_of_the_networks_side_are_not_resized():
    preprocessing = make(64, 32)
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    assert preprocessing.resize(images) is images
    assert preprocessing.resize(torch.zeros(2, 1, 64, 64)).shape[-1] == 32


def test_padded_size():
    assert make(28, 32).padded_size == 32
    assert make(64, 32).padded_size == 64
    assert make(28, 40).padded_size == 28
