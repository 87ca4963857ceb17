import pytest
import torch
import torch.nn.functional as F

from vgg_lit.data.draws import Draws
from vgg_lit.data.jitter import ScaleJitter
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError

ANY = ChannelStatistics((0.5,), (0.5,), ((0.25,),))


def drawn(augment, draws):
    """Returns S, top and left of each sample, as documented in the class."""
    side = augment.min_scale + draws.integers("scale", augment.max_scale - augment.min_scale + 1)
    room = side - augment.image_size + 1
    return side, *((draws.uniform(f"crop {axis}") * room).long() for axis in ("row", "column"))


@pytest.mark.parametrize(
    ("source", "image_size", "scales"),
    [
        (32, 32, (32, 40)),  # only enlarging
        (64, 24, (24, 32)),  # shrinking up to 2.7 times: antialiased
        (48, 20, (30, 60)),  # enlarging and shrinking
        (37, 20, (25, 25)),  # a single scale
    ],
)
def test_result_is_a_crop_of_torchs_antialiased_resizing(source, image_size, scales):
    images = torch.randint(0, 256, (12, 3, source, source), dtype=torch.uint8)
    draws = Draws(0, 2, torch.arange(12))
    augment = ScaleJitter(image_size, *scales)
    found = augment(images, draws)
    for i, (side, top, left) in enumerate(zip(*drawn(augment, draws), strict=True)):
        size = (side.item(), side.item())
        whole = F.interpolate(images[i : i + 1].double(), size, mode="bilinear", antialias=True)[0]
        expected = whole[:, top : top + image_size, left : left + image_size]
        # Rounded to whole levels. PyTorch's own result in float32 differs from its float64 by up to 0.0013.
        assert (found[i].double() - expected).abs().max() <= 0.501


def test_without_a_change_of_scale_it_is_a_crop():
    images = torch.randint(0, 256, (9, 1, 40, 40), dtype=torch.uint8)
    draws = Draws(0, 0, torch.arange(9))
    augment = ScaleJitter(32, 40, 40)
    found = augment(images, draws)
    for i, (_, top, left) in enumerate(zip(*drawn(augment, draws), strict=True)):
        assert torch.equal(found[i], images[i, :, top : top + 32, left : left + 32])


def test_sides_and_positions_are_uniform():
    """The tests above verify that images are resized and cropped by these values."""
    samples = 60_000
    side, top, left = drawn(ScaleJitter(4, 6, 8), Draws(0, 0, torch.arange(samples)))
    assert torch.bincount(side).tolist()[6:] == pytest.approx([samples / 3] * 3, rel=0.03)
    for s in (6, 7, 8):
        for place in (top, left):
            counts = torch.bincount(place[side == s])
            assert counts.tolist() == pytest.approx([samples / 3 / (s - 3)] * (s - 3), rel=0.1)
    assert torch.corrcoef(torch.stack([top, left]).double()[:, side == 7])[0, 1].abs() < 0.04


def test_default_scales():
    assert (ScaleJitter(32).min_scale, ScaleJitter(32).max_scale) == (32, 64)
    assert ScaleJitter(224, min_scale=256).max_scale == 512


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"min_scale": 50, "max_scale": 40}, "max_scale=40 must be at least min_scale=50"),
        ({"min_scale": 31}, "min_scale=31 must be at least image_size=32"),
        ({"max_scale": 31}, "max_scale=31 must be at least min_scale=32"),
    ],
)
def test_inconsistent_scales_are_refused(scales, message):
    with pytest.raises(InputError, match=message):
        ScaleJitter(32, **scales)


def test_images_that_are_too_small_are_refused_before_training():
    ScaleJitter(32, 36, 40).prepare(36, ANY)
    with pytest.raises(
        InputError, match=r"min_scale=36: larger than .* at most 32, .* data\.source\.size"
    ):
        ScaleJitter(32, 36, 40).prepare(32, ANY)
