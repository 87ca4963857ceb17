import pytest
import torch

from vgg_lit.data.augment import FlipCrop, NoAugmentation
from vgg_lit.data.draws import Draws
from vgg_lit.errors import InputError


def reference(image_CHW, draws, padding, flip):
    """One sample, pixel by pixel."""
    channels, height, width = image_CHW.shape
    top = draws.integers("crop row", 2 * padding + 1).item() - padding
    left = draws.integers("crop column", 2 * padding + 1).item() - padding
    mirrored = flip and draws.uniform("flip").item() < 0.5
    out = torch.zeros_like(image_CHW)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                source_row, source_column = row + top, column + left
                if 0 <= source_row < height and 0 <= source_column < width:
                    if mirrored:
                        source_column = width - 1 - source_column
                    out[channel, row, column] = image_CHW[channel, source_row, source_column]
    return out


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 7, 7)])
def test_flip_crop_equals_the_per_sample_reference(padding, flip, shape):
    images = torch.randint(1, 256, (12, *shape), dtype=torch.uint8)
    ids = torch.arange(12) * 31
    augmented = FlipCrop(padding, flip)(images, Draws(3, 5, ids))
    assert augmented.dtype == torch.uint8
    for i in range(12):
        expected = reference(images[i], Draws(3, 5, ids[i : i + 1]), padding, flip)
        assert torch.equal(augmented[i], expected)


def test_all_offsets_and_both_sides_occur_equally_often():
    samples, padding = 16_200, 4
    images = torch.zeros(1, 1, 9, 9, dtype=torch.uint8)
    images[0, 0, 4, 4], images[0, 0, 4, 5] = 1, 2
    augmented = FlipCrop(padding)(
        images.expand(samples, -1, -1, -1), Draws(0, 0, torch.arange(samples))
    )
    places = (augmented.flatten(1) == 1).int().argmax(1)
    counts = torch.bincount(places, minlength=81).double()
    assert ((counts - 200) ** 2 / 200).sum() < 81 + 5 * (2 * 81) ** 0.5
    # the 2 lies right of the 1 unless flipped; it leaves the picture from one column of nine
    rows = augmented.int()
    right = ((rows[..., :-1] == 1) & (rows[..., 1:] == 2)).sum().item()
    left = ((rows[..., :-1] == 2) & (rows[..., 1:] == 1)).sum().item()
    assert abs(right - left) < 5 * (right + left) ** 0.5
    assert right + left == pytest.approx(samples * 8 / 9, rel=0.02)


def test_a_sample_is_augmented_alike_in_any_batch():
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    ids, augment = torch.arange(8), FlipCrop()
    whole = augment(images, Draws(0, 1, ids))
    halves = [augment(images[i : i + 4], Draws(0, 1, ids[i : i + 4])) for i in (0, 4)]
    assert torch.equal(whole, torch.cat(halves))
    assert not torch.equal(whole, augment(images, Draws(0, 2, ids)))


def test_no_augmentation():
    images = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    assert NoAugmentation()(images, Draws(0, 0, torch.arange(2))) is images


def test_negative_padding():
    with pytest.raises(InputError, match="padding=-1"):
        FlipCrop(padding=-1)
