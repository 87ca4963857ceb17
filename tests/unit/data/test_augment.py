import pytest
import torch

from vgg_lit.data.augment import Compose, FlipCrop, NoAugmentation, Prepared
from vgg_lit.data.autoaugment import AutoAugment, TrivialAugment
from vgg_lit.data.colour import ColourShift
from vgg_lit.data.draws import Draws
from vgg_lit.data.erasing import Cutout, RandomErasing
from vgg_lit.data.jitter import ScaleJitter
from vgg_lit.data.statistics import channel_statistics, pixel_sums
from vgg_lit.errors import InputError


def reference(image_CHW, draws, padding, flip):
    """Flips and crops one sample, pixel by pixel."""
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
    # the 2 is right of the 1 unless flipped; in one column of nine it is outside the image
    rows = augmented.int()
    right = ((rows[..., :-1] == 1) & (rows[..., 1:] == 2)).sum().item()
    left = ((rows[..., :-1] == 2) & (rows[..., 1:] == 1)).sum().item()
    assert abs(right - left) < 5 * (right + left) ** 0.5
    assert right + left == pytest.approx(samples * 8 / 9, rel=0.02)


AUGMENTATIONS = {
    "crop": FlipCrop(padding=4, flip=False),
    "flip": FlipCrop(padding=0),
    "alternating flip": FlipCrop(padding=2, flip="alternating", padding_mode="reflect"),
    "erasing": RandomErasing(),
    "cutout": Cutout(size=9),
    "colour": ColourShift(),
    "jitter": ScaleJitter(image_size=16, max_scale=24),
    "enlarging jitter": ScaleJitter(image_size=16),
    "autoaugment": AutoAugment(),
    "trivialaugment": TrivialAugment(),
    "composed": Compose(
        flip_crop=FlipCrop(), autoaugment=AutoAugment("imagenet"), erasing=RandomErasing()
    ),
}


def prepared(name, images):
    augment = AUGMENTATIONS[name]
    if isinstance(augment, Prepared):
        augment.prepare(images.shape[-1], channel_statistics(pixel_sums(images)))
    return augment


def smooth_images(count, channels, side, seed=0):
    """Returns random images with some structure, so that every operation changes them."""
    coarse = torch.rand(count, channels, 5, 5, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (20 + 200 * images).to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
class TestEveryAugmentation:
    def test_a_sample_is_the_same_in_any_batch(self, name, channels):
        images, ids = smooth_images(23, channels, 24), torch.arange(23) * 7
        augment = prepared(name, images)
        whole = augment(images, Draws(0, 3, ids))
        order = torch.randperm(23, generator=torch.Generator().manual_seed(0))
        assert torch.equal(augment(images[order], Draws(0, 3, ids[order])), whole[order])
        for size in (1, 8):
            parts = zip(images.split(size), ids.split(size), strict=True)
            split = torch.cat([augment(part, Draws(0, 3, some)) for part, some in parts])
            assert torch.equal(split, whole)

    def test_result_depends_on_epoch_seed_and_sample(self, name, channels):
        image = smooth_images(1, channels, 24)
        images = image.expand(64, -1, -1, -1).contiguous()
        augment = prepared(name, smooth_images(9, channels, 24))
        ids = torch.arange(64)
        first = augment(images, Draws(0, 0, ids))
        assert torch.equal(first, augment(images, Draws(0, 0, ids)))
        for other in (Draws(0, 1, ids), Draws(1, 0, ids), Draws(0, 0, ids + 64)):
            changed = (augment(images, other) != first).flatten(1).any(1)
            assert changed.float().mean() > 0.25

    def test_dtype_and_shape(self, name, channels):
        images = smooth_images(5, channels, 24)
        before = images.clone()
        augmented = prepared(name, images)(images, Draws(0, 0, torch.arange(5)))
        side = 16 if "jitter" in name else 24
        assert augmented.shape == (5, channels, side, side)
        assert augmented.dtype == (torch.float32 if name == "colour" else torch.uint8)
        assert augmented.is_contiguous()
        assert torch.equal(images, before)

    def test_global_random_state_is_not_used(self, name, channels):
        images = smooth_images(5, channels, 24)
        augment, draws = prepared(name, images), Draws(0, 0, torch.arange(5))
        first = augment(images, draws)
        before = torch.random.get_rng_state()
        assert torch.equal(augment(images, draws), first)
        assert torch.equal(torch.random.get_rng_state(), before)


def test_an_alternating_flip_mirrors_each_image_in_every_second_epoch():
    images = torch.arange(6, dtype=torch.uint8).expand(4000, 1, 2, 6)
    augment, ids = FlipCrop(padding=0, flip="alternating"), torch.arange(4000)
    epochs = [augment(images, Draws(5, epoch, ids)) for epoch in range(4)]
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[3])
    assert torch.equal(epochs[0].flip(-1), epochs[1])
    is_flipped = epochs[0][:, 0, 0, 0] == 5
    assert abs(is_flipped.float().mean() - 0.5) < 5 * 0.5 / 4000**0.5
    assert torch.equal(epochs[0], FlipCrop(padding=0)(images, Draws(5, 0, ids)))


def test_reflect_padding_mirrors_the_image_at_its_edge():
    images = torch.randint(1, 256, (300, 3, 8, 8), dtype=torch.uint8)
    draws = Draws(0, 0, torch.arange(300))
    mirrored = FlipCrop(3, False, padding_mode="reflect")(images, draws)
    padded = torch.nn.functional.pad(images, [3] * 4, mode="reflect")
    top, left = draws.integers("crop row", 7), draws.integers("crop column", 7)
    for i in range(300):
        expected = padded[i, :, top[i] : top[i] + 8, left[i] : left[i] + 8]
        assert torch.equal(mirrored[i], expected)
    zeros = FlipCrop(3, False)(images, draws)
    assert torch.equal(zeros[zeros > 0], mirrored[zeros > 0])


def test_stages_are_applied_in_order_and_none_is_skipped():
    images, draws = smooth_images(4, 1, 12), Draws(0, 0, torch.arange(4))
    crop, cutout = FlipCrop(2), Cutout(5)
    composed = Compose(crop=crop, nothing=None, cutout=cutout)
    composed.prepare(12, channel_statistics(pixel_sums(images)))
    assert torch.equal(composed(images, draws), cutout(crop(images, draws), draws))
    assert composed.mixing is None


def test_no_augmentation_returns_its_input():
    images = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    assert NoAugmentation()(images, Draws(0, 0, torch.arange(2))) is images


def test_negative_padding_is_refused():
    with pytest.raises(InputError, match="padding=-1"):
        FlipCrop(padding=-1)
