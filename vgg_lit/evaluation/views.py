"""Test-time views of an image (scales, crops, mirror images) for averaging class posteriors.

    crops = Views(grid=5, scales=(36, 40), flip=True)  # the paper's 50 crops at each of two scales
    for x_BCHW in crops.of(images_BCHW, preprocessing): ...

Source: Simonyan & Zisserman 2015, sections 3.2 and 4.1 to 4.3.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import InputError


@dataclass(frozen=True)
class Views:
    """Test-time views of every image; the default is the single view used for testing in training.

    Attributes:
        grid: number of crops along each side, in a regular grid from edge to edge; 1 is the centre
            crop. Crops have the network's image size. None is the whole image, for a dense network.
        scales: smallest sides Q in pixels that images are rescaled to; () keeps the network's side.
        flip: True adds the mirror image of each view.
        shift: distance in pixels; above 0 the single view is followed by two copies, one shifted up and
            left, one down and right, mirrored at the edge. The view has weight 2, each copy weight 1.

    Source of the shifts: Keller Jordan 2024, https://arxiv.org/abs/2404.00498 ("multi-crop
    evaluation"), which averages logits instead of posteriors.
    """

    grid: int | None = 1
    scales: tuple[int, ...] = ()
    flip: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        if self.shift and self.grid != 1:
            raise InputError(
                f"shifts={self.shift}: goes with the single view, not with dense or crops"
            )

    @property
    def takes_whole(self) -> bool:
        """Returns True if the views lie anywhere in an image that is not square."""
        return self.grid != 1

    @property
    def is_dense(self) -> bool:
        """Returns True if the views are whole images for a dense network."""
        return self.grid is None

    def weighted(
        self, images_BCHW: Tensor, preprocessing: Preprocessing
    ) -> Iterator[tuple[Tensor, int]]:
        """Returns the views of `of`, each with its weight in an average."""
        shifted_from = 1 + self.flip if self.shift else math.inf
        for number, view_BCHW in enumerate(self.of(images_BCHW, preprocessing)):
            is_shifted = number % self.count >= shifted_from
            yield view_BCHW, 1 if is_shifted or not self.shift else 2

    def of(self, images_BCHW: Tensor, preprocessing: Preprocessing) -> Iterator[Tensor]:
        """Yields one batch of network input per view of uint8 source images."""
        for scale in self.scales or (preprocessing.image_size,):
            x_BCHW = rescale(images_BCHW, preprocessing, scale)
            side = preprocessing.image_size
            for view_BCHW in [x_BCHW] if self.grid is None else crops(x_BCHW, side, self.grid):
                yield view_BCHW
                if self.flip:
                    yield view_BCHW.flip(-1)
                for shifted_BCHW in shifts(view_BCHW, self.shift) if self.shift else ():
                    yield shifted_BCHW
                    if self.flip:
                        yield shifted_BCHW.flip(-1)

    def check(self, image_size: int, smallest_dense: int = 1) -> None:
        """Checks that all scales are large enough for the network and the crops.

        Args:
            image_size: side of the network's training images, pixels.
            smallest_dense: side of the smallest input of the dense network, pixels.

        Raises:
            InputError: a scale is too small for the network or for this number of different crops.
        """
        if self.shift >= image_size:
            raise InputError(
                f"shifts={self.shift}: should be below the image's {image_size} pixels"
            )
        smallest = smallest_dense if self.grid is None else image_size + self.grid - 1
        wrong = [scale for scale in self.scales or (image_size,) if scale < smallest]
        if not wrong:
            return
        if self.grid is None or self.grid == 1:
            raise InputError(
                f"scales: {wrong[0]} is too small for the network; at least {smallest}"
            )
        given = (
            f"scale {wrong[0]} is"
            if self.scales
            else f"the network's input size of {image_size} pixels is"
        )
        raise InputError(
            f"crops={self.count}: {given} too small for {self.grid} x {self.grid} different crops of"
            f" {image_size} pixels; set scales=[...] to at least {smallest}"
        )

    @property
    def count(self) -> int:
        """Number of views of each image per scale."""
        return (self.grid or 1) ** 2 * (1 + self.flip) * (3 if self.shift else 1)

    def __str__(self) -> str:
        if self.grid is not None and self.grid > 1:
            return f"{self.count} crops"
        if self.grid is None:
            return "dense, flip" if self.flip else "dense"
        parts = [
            *(["centre crop"] if self.scales else []),
            *(["flip"] if self.flip else []),
            *([f"shifts by {self.shift}"] if self.shift else []),
        ]
        return ", ".join(parts) or "single view"


def asked_views(
    flip: bool, scales: Sequence[int] | None, dense: bool, crops: int | None, shift: int = 0
) -> tuple[Views, ...]:
    """Returns the views for the options of an evaluation: dense views, crops, or both to average.

    Raises:
        InputError: `crops` does not form a grid, or shifts are combined with dense views or crops.
    """
    sides = tuple(scales or ())
    if shift and (dense or crops is not None):
        raise InputError(f"shifts={shift}: goes with the single view, not with dense or crops")
    asked = [Views(None, sides, flip)] if dense else []
    if crops is not None:
        grid, mirrored = crop_grid(crops)
        asked.append(Views(grid, sides, flip or mirrored))
    return tuple(asked) or (Views(1, sides, flip, shift),)


def shifts(x_BCHW: Tensor, by: int) -> Iterator[Tensor]:
    """Returns the images moved by `by` pixels up and left, then down and right, mirrored at the edge."""
    height, width = x_BCHW.shape[-2:]
    padded_BCHW = F.pad(x_BCHW, [by] * 4, mode="reflect")
    yield padded_BCHW[..., 2 * by :, 2 * by :]
    yield padded_BCHW[..., :height, :width]


def describe_views(views: Sequence[Views]) -> str:
    """Formats averaged views for the row of a table; all views must have the same scales."""
    scales = ", ".join(map(str, views[0].scales))
    return " + ".join(map(str, views)) + (f" at {scales}" if scales else "")


def crop_grid(crops: int) -> tuple[int, bool]:
    """Returns the crops along each side, and True if mirror images are included.

    For example, 25 gives (5, False) and 50 gives (5, True).

    Raises:
        InputError: the number is neither k * k nor 2 * k * k.
    """
    for mirrors in (1, 2):
        grid = math.isqrt(crops // mirrors)
        if mirrors * grid * grid == crops:
            return grid, mirrors == 2
    raise InputError(
        f"crops={crops}: not a regular grid; allowed: k * k crops, such as 9 or 25,"
        " or 2 * k * k with mirror images, such as 18 or the paper's 50"
    )


def rescale(images_BCHW: Tensor, preprocessing: Preprocessing, scale: int) -> Tensor:
    """Returns source images as network input of another shorter side; pads first if training pads."""
    padded_BCHW = F.pad(images_BCHW, preprocessing.margins)
    sides = padded_BCHW.shape[-2:]
    size = tuple(round(side * scale / min(sides)) for side in sides)
    if sides == size:
        return preprocessing.normalize(padded_BCHW)
    resized_BCHW = F.interpolate(padded_BCHW.float(), size, mode="bilinear", antialias=True)
    return preprocessing.normalize(resized_BCHW)


def crops(x_BCHW: Tensor, side: int, grid: int) -> Iterator[Tensor]:
    """Yields grid x grid square crops, row by row, from edge to edge; a single crop is central."""
    tops, lefts = (_offsets(length - side, grid) for length in x_BCHW.shape[-2:])
    for top in tops:
        for left in lefts:
            yield x_BCHW[..., top : top + side, left : left + side]


def _offsets(margin: int, grid: int) -> list[int]:
    return [round(i * margin / (grid - 1)) for i in range(grid)] if grid > 1 else [margin // 2]
