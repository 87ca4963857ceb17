import numpy as np
import pytest
import torch

from vgg_lit.data.colour import ColourShift
from vgg_lit.data.draws import Draws
from vgg_lit.data.statistics import channel_statistics, pixel_sums, principal_components
from vgg_lit.errors import InputError

SAMPLES = 50_000


@pytest.fixture(scope="module", params=[1, 3])
def statistics(request):
    """Statistics of correlated channels."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randint(0, 150, (40, 1, 8, 8), generator=generator)
    own = torch.randint(0, 100, (40, request.param, 8, 8), generator=generator)
    return channel_statistics(pixel_sums((shared + own).to(torch.uint8)))


def shifts(augment, channels, epoch=0):
    """Returns the shift of each sample: (SAMPLES, C), for pixels in 0..1."""
    images = torch.full((SAMPLES, channels, 2, 3), 100, dtype=torch.uint8)
    moved = augment(images, Draws(0, epoch, torch.arange(SAMPLES))) - 100
    assert torch.equal(moved, moved[:, :, :1, :1].expand_as(moved))  # the same for every pixel
    return moved[:, :, 0, 0].double() / 255


@pytest.mark.parametrize("std", [0.1, 0.5])
def test_the_shift_is_normal_along_the_components(statistics, std):
    channels = len(statistics.mean)
    augment = ColourShift(std)
    augment.prepare(8, statistics)
    shift = shifts(augment, channels)
    values, vectors = principal_components(statistics.covariance)
    weights = shift.numpy() @ vectors / (std * values)  # alpha / std: standard normal
    assert np.abs(weights.mean(0)).max() < 5 / SAMPLES**0.5
    covariance = np.cov(weights.T, bias=True).reshape(channels, channels)
    assert np.abs(covariance - np.eye(channels)).max() < 5 * (2 / SAMPLES) ** 0.5
    normal = torch.distributions.Normal(0, 1)
    for column in weights.T:
        ideal = normal.icdf((torch.arange(SAMPLES) + 0.5).double() / SAMPLES)
        reached = normal.cdf(torch.from_numpy(np.sort(column)))
        distance = (reached - normal.cdf(ideal)).abs().max() * SAMPLES**0.5
        assert distance < 1.95  # Kolmogorov-Smirnov, with probability 0.999
    # the covariance of the shift is the published one
    expected = vectors @ np.diag((std * values) ** 2) @ vectors.T
    found = np.cov(shift.numpy().T, bias=True).reshape(channels, channels)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_a_grey_shift_has_a_std_of_a_tenth_of_the_variance():
    images = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8)
    statistics = channel_statistics(pixel_sums(images))
    augment = ColourShift()
    augment.prepare(8, statistics)
    assert shifts(augment, 1).std() == pytest.approx(0.1 * statistics.std[0] ** 2, rel=0.02)


def test_the_result_is_on_the_image_scale_and_not_clamped():
    augment = ColourShift(std=3.0)
    augment.prepare(8, channel_statistics(pixel_sums(torch.arange(256).byte().view(1, 1, 16, 16))))
    black = augment(torch.zeros(100, 1, 2, 2).byte(), Draws(0, 0, torch.arange(100)))
    white = augment(torch.full((100, 1, 2, 2), 255).byte(), Draws(0, 0, torch.arange(100)))
    assert black.min() < -10
    assert white.max() > 265
    torch.testing.assert_close(white - black, torch.full_like(white, 255))


def test_a_std_of_zero_gives_no_shift():
    augment = ColourShift(std=0.0)
    augment.prepare(8, channel_statistics(pixel_sums(torch.arange(256).byte().view(1, 1, 16, 16))))
    assert shifts(augment, 1).abs().max() == 0
    with pytest.raises(InputError, match="std=-1"):
        ColourShift(std=-1)
