"""Images unlike the training images are found by their pixel statistics."""

import json
import math

import pytest
import torch

from vgg_lit.data.fashion_mnist import FashionMNISTSample
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.image_ranges import (
    MARGIN,
    MOST_RESIDENT,
    QUANTITIES,
    SMALL_SAMPLE,
    ImageRanges,
    measure_ranges,
    pixel_quantities,
)
from vgg_lit.data.images import write_image
from vgg_lit.data.sources import ResidentImages
from vgg_lit.errors import InputError


@pytest.fixture(scope="module")
def sample():
    """The embedded training images, their ranges and the test images."""
    train, test = FashionMNISTSample().load("train"), FashionMNISTSample().load("test")
    return train, measure_ranges(train, torch.arange(len(train.labels_N))), test.images_NCHW


def test_inverted_images_are_found_and_few_test_images_are_marked(sample):
    _, ranges, images = sample
    assert len(images) == 1000
    assert sum(map(bool, ranges.differences(images))) == 2
    assert sum(map(bool, ranges.differences(255 - images))) == 1000


def test_a_dark_shoe_on_white_is_found(sample):
    _, ranges, _ = sample
    shoe = torch.full((1, 1, 28, 28), 255, dtype=torch.uint8)
    shoe[..., 14:22, 4:24] = 40
    (words,) = ranges.differences(shoe)
    assert any(text.startswith("bright pixels 80 %, in training 0 to 1") for text in words)


def test_quantities_are_those_of_the_pixels():
    image = torch.tensor([0, 5, 6, 249, 250, 255, 100, 100, 100], dtype=torch.uint8)
    values = image.double() / 255
    expected = (values.mean(), values.std(correction=0), 2 / 9, 2 / 9)
    found = pixel_quantities(image.view(1, 1, 3, 3))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


def test_ranges_survive_json(sample):
    _, ranges, _ = sample
    assert ImageRanges.from_dict(json.loads(json.dumps(ranges.to_dict()))) == ranges


@pytest.mark.parametrize(
    "change",
    [
        {"images": 0},
        {"images": None},
        {"images": math.inf},
        {"ranges": {}},
        {"ranges": 3},
        {"ranges": {key: [0.0] for key in QUANTITIES}},
        {"ranges": {key: [0.0, math.nan] for key in QUANTITIES}},
        {"ranges": {key: ["x", "y"] for key in QUANTITIES}},
    ],
)
def test_invalid_ranges_of_a_file_are_refused(change, sample):
    with pytest.raises(InputError, match=r"image ranges .* invalid"):
        ImageRanges.from_dict(sample[1].to_dict() | change)
    with pytest.raises(InputError, match="image ranges text: invalid"):
        ImageRanges.from_dict("text")


def test_ranges_of_few_images_are_wider(sample):
    train, ranges, _ = sample
    few = measure_ranges(train, torch.arange(0, 6000, 240))
    assert few.images == 25
    assert few.margin == MARGIN + SMALL_SAMPLE / 5 > ranges.margin


def test_a_large_split_is_sampled():
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8).expand(50_000, 1, 4, 4)
    labels = torch.zeros(50_000, dtype=torch.int64)
    assert measure_ranges(ResidentImages(images, labels), torch.arange(50_000)).images == (
        MOST_RESIDENT
    )


def test_streamed_images_have_the_ranges_of_resident_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    draws = torch.Generator().manual_seed(0)
    for index in range(12):
        path = tmp_path / "data" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, torch.rand(3, 8, 8, generator=draws) * index / 12)
    found = []
    for in_memory in (True, False):
        source = ImageFolder(tmp_path / "data", size=8, in_memory=in_memory, num_workers=0)
        source.prepare()
        found.append(measure_ranges(source.load("train"), torch.arange(8)))
    assert found[0] == found[1]
    assert found[0].images == 8
