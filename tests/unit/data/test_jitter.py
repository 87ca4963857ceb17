import pytest
import torch
import torch.nn.functional as F

from vgg_lit.data.draws import Draws
from vgg_lit.data.jitter import ScaleJitter
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError

ANY = ChannelStatistics((0.5,), (0.5,), ((0.25,),))


def drawn(augment, draws):
    """S, top and left of each sample, as the class's documentation defines them."""
    side = augment.min_scale + draws.integers("scale", augment.max_scale - augment.min_scale + 1)
    room = side - augment.image_size + 1
    return side, *((draws.uniform(f"crop {axis}") * room).long() for axis in ("row", "column"))


@pytest.mark.parametrize(
    ("source", "image_size", "scales"),
    [
        (32, 32, (32, 40)),  # enlarging alone
        (64, 24, (24, 32)),  # up to 2.7 times smaller: antialiased
        (48, 20, (30, 60)),  # both
        (37, 20, (25, 25)),  # a single scale
    ],
)
def test_it_is_a_crop_of_the_librarys_antialiased_resizing(source, image_size, scales):
    images = torch.randint(0, 256, (12, 3, source, source), dtype=torch.uint8)
    draws = Draws(0, 2, torch.arange(12))
    augment = ScaleJitter(image_size, *scales)
    found = augment(images, draws)
    for i, (side, top, left) in enumerate(zip(*drawn(augment, draws), strict=True)):
        size = (side.item(), side.item())
        whole = F.interpolate(images[i : i + 1].float(), size, mode="bilinear", antialias=True)[0]
        expected = whole[:, top : top + image_size, left : left + image_size]
        # rounded to whole levels
        assert (found[i].float() - expected).abs().max() <= 0.501


def test_at_the_images_own_side_it_is_a_crop():
    images = torch.randint(0, 256, (9, 1, 40, 40), dtype=torch.uint8)
    draws = Draws(0, 0, torch.arange(9))
    augment = ScaleJitter(32, 40, 40)
    found = augment(images, draws)
    for i, (_, top, left) in enumerate(zip(*drawn(augment, draws), strict=True)):
        assert torch.equal(found[i], images[i, :, top : top + 32, left : left + 32])


def test_sides_and_places_are_uniform():
    """Those that the tests above found the images to be resized and cropped by."""
    samples = 60_000
    side, top, left = drawn(ScaleJitter(4, 6, 8), Draws(0, 0, torch.arange(samples)))
    assert torch.bincount(side).tolist()[6:] == pytest.approx([samples / 3] * 3, rel=0.03)
    for s in (6, 7, 8):
        for place in (top, left):
            counts = torch.bincount(place[side == s])
            assert counts.tolist() == pytest.approx([samples / 3 / (s - 3)] * (s - 3), rel=0.1)
    assert torch.corrcoef(torch.stack([top, left]).double()[:, side == 7])[0, 1].abs() < 0.04


def test_scales_by_default():
    assert (ScaleJitter(32).min_scale, ScaleJitter(32).max_scale) == (32, 64)
    assert ScaleJitter(224, min_scale=256).max_scale == 512


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"min_scale": 50, "max_scale": 40}, "min_scale=50 is above max_scale=40"),
        ({"min_scale": 31}, "min_scale=31 is below image_size=32"),
        ({"max_scale": 31}, "min_scale=32 is above max_scale=31"),
    ],
)
def test_bad_scales(scales, message):
    with pytest.raises(InputError, match=message):
        ScaleJitter(32, **scales)


def test_images_that_are_too_small_are_refused_before_training():
    ScaleJitter(32, 36, 40).prepare(36, ANY)
    with pytest.raises(InputError, match=r"min_scale=36: more than the 32 .* data\.source\.size"):
        ScaleJitter(32, 36, 40).prepare(32, ANY)
