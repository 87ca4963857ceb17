import pytest
import torch

from vgg_lit.data.draws import Draws
from vgg_lit.data.erasing import Cutout, RandomErasing, rectangles
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError

SAMPLES = 20_000


def erased(augment, height=32, width=32, channels=1):
    """Returns the mask of changed pixels of black images: (SAMPLES, H, W)."""
    images = torch.zeros(SAMPLES, channels, height, width, dtype=torch.uint8)
    painted = augment(images, Draws(0, 0, torch.arange(SAMPLES)))
    return painted.amax(1) > 0


def extents(painted):
    """Returns the number of rows and columns from the first to the last painted ones."""
    sides = []
    for axis in (2, 1):
        occurs = painted.any(axis)
        last = occurs.shape[1] - occurs.flip(1).int().argmax(1)
        sides.append((last - occurs.int().argmax(1)) * occurs.any(1))
    return sides


def test_random_erasing_has_the_given_probability_areas_and_ratios():
    augment = RandomErasing(probability=0.3, scale=(0.1, 0.3), ratio=(0.5, 2.0))
    painted = erased(augment, channels=3)  # a pixel of noise is black once in 256**3
    rows, columns = extents(painted)
    has = rows > 0
    assert abs(has.float().mean() - 0.3) < 5 * (0.3 * 0.7 / SAMPLES) ** 0.5
    rows, columns = rows[has].double(), columns[has].double()
    area = rows * columns / 32**2
    # sides are at least 9 pixels, rounded to whole pixels
    assert area.min() > 0.1 * 0.88
    assert area.max() < 0.3 * 1.12
    assert area.mean() == pytest.approx(0.2, abs=0.003)
    assert area.std() == pytest.approx(0.2 / 12**0.5, rel=0.05)
    ratio = (rows / columns).log2()
    assert ratio.abs().max() < 1.2
    assert ratio.mean() == pytest.approx(0, abs=0.03)
    assert ratio.std() == pytest.approx(2 / 12**0.5, rel=0.05)


def test_a_large_area_gets_a_ratio_that_fits():
    rows, columns = extents(erased(RandomErasing(1.0, (0.8, 0.8), (0.3, 3.3)), channels=3))
    area = rows * columns / 32**2
    assert area.min() > 0.77
    assert area.max() < 0.83
    assert rows.max() == columns.max() == 32
    assert rows.min() < 27  # 0.8 * 32 = 25.6
    assert rows.min() > 24


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 20)])
def test_the_ratio_is_height_over_width_on_oblong_images(height, width):
    rows, columns = extents(erased(RandomErasing(1.0, (0.1, 0.1), (1.0, 1.0)), height, width, 3))
    assert (rows - columns).abs().max() == 0
    assert rows.unique().tolist() == [9]  # the square root of 80


def test_every_position_of_a_rectangle_is_equally_likely():
    painted = erased(RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0)), 8, 8, 3)
    corners = painted.int().flatten(1).argmax(1)  # sides of 4: 5 x 5 positions
    counts = torch.bincount(corners, minlength=64).view(8, 8)
    assert counts[5:].sum() == counts[:, 5:].sum() == 0
    expected = SAMPLES / 25
    assert ((counts[:5, :5] - expected) ** 2 / expected).sum() < 24 + 5 * 48**0.5


def test_the_pixels_are_uniform_and_independent():
    images = torch.zeros(200, 3, 16, 16, dtype=torch.uint8)
    noise = RandomErasing(1.0, (1.0, 1.0))(images, Draws(0, 0, torch.arange(200)))
    counts = torch.bincount(noise.flatten().long(), minlength=256).double()
    expected = noise.numel() / 256
    assert ((counts - expected) ** 2 / expected).sum() < 255 + 5 * (2 * 255) ** 0.5
    neighbours = torch.stack([noise[..., 1:].flatten(), noise[..., :-1].flatten()])
    assert torch.corrcoef(neighbours.double())[0, 1].abs() < 5 / neighbours.shape[1] ** 0.5


def test_pixels_outside_the_rectangle_are_unchanged():
    images = torch.full((50, 1, 16, 16), 7, dtype=torch.uint8)
    draws = Draws(0, 0, torch.arange(50))
    assert torch.equal(RandomErasing(0.0)(images, draws), images)
    changed = RandomErasing(1.0, (0.25, 0.25), (1.0, 1.0))(images, draws) != images
    assert changed.sum((1, 2, 3)).max() <= 64


def test_cutout_fills_a_square_at_any_position_with_the_mean():
    augment = Cutout(size=4)
    augment.prepare(8, ChannelStatistics((0.2, 0.4, 0.6), (1.0,) * 3, ((0.0,) * 3,) * 3))
    images = torch.zeros(SAMPLES, 3, 8, 8, dtype=torch.uint8)
    painted = augment(images, Draws(0, 0, torch.arange(SAMPLES)))
    inside = painted[:, 0] > 0
    assert torch.equal(painted.flatten(2).amax(2)[0], torch.tensor([51, 102, 153]).byte())
    rows, columns = extents(inside)
    # the top row is uniform in -2 .. 6; outside 0 .. 4 the square is clipped
    counts = torch.bincount(rows, minlength=5) / SAMPLES
    assert counts.tolist() == pytest.approx([0, 0, 2 / 9, 2 / 9, 5 / 9], abs=0.02)
    assert torch.bincount(columns, minlength=5)[:2].sum() == 0
    assert torch.equal(inside.sum((1, 2)), rows * columns)


def test_rectangles_are_clipped():
    edges = torch.tensor([[-1.0, -1.0, 2.0, 1.0], [2.0, 2.0, 5.0, 11.0]])
    inside = rectangles(edges, 4, 4)
    assert inside.shape == (2, 1, 4, 4)
    assert inside[0, 0].nonzero().tolist() == [[0, 0], [1, 0]]
    assert inside[1, 0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: RandomErasing(probability=1.1), "probability=1.1: must be 0 to 1"),
        (lambda: RandomErasing(scale=(0.4, 0.2)), r"scale=\(0.4, 0.2\): .*the smaller first"),
        (lambda: RandomErasing(scale=(0.0, 0.2)), "scale"),
        (lambda: RandomErasing(scale=(0.1, 1.2)), "scale"),
        (lambda: RandomErasing(ratio=(3.0, 0.3)), "ratio"),
        (lambda: Cutout(size=0), "size=0: must be at least 1"),
    ],
)
def test_invalid_values_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()
