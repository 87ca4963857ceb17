"""Batches of images of different shapes, for the crops and views that may lie anywhere in an image.

    whole = collate([image_CHW, other_CHW])       # the shorter side is equal in all
    whole.of_one_shape()                          # [(positions, images_BCHW), ...]

Sources return them with the fit "whole": the shorter side is resized to the source's size and nothing is
cropped, except that an image longer than `LONGEST` times its shorter side is reduced to its middle.

Shape suffixes: B images, C channels, H x W pixels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

LONGEST = 3
"""Largest ratio of the sides of a whole image: a batch is as wide as its widest image."""


class Rectangles(NamedTuple):
    """Images of different shapes in one tensor.

    Attributes:
        canvas_BCHW: uint8 images, each at the top left of its canvas; the rest is 0.
        sides_B2: height and width of each image, int64.
    """

    canvas_BCHW: Tensor
    sides_B2: Tensor

    def to(self, device: torch.device) -> "Rectangles":
        """Returns the images on a device."""
        return Rectangles(self.canvas_BCHW.to(device), self.sides_B2.to(device))

    def squares(self) -> Tensor:
        """Returns the central square of each image."""
        size = int(self.sides_B2[0].amin())
        offsets = ((self.sides_B2 - size) // 2).tolist()
        parts = zip(self.canvas_BCHW, offsets, strict=True)
        return torch.stack(
            [canvas[:, top : top + size, left : left + size] for canvas, (top, left) in parts]
        )

    def of_one_shape(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the positions in the batch of images of the same shape, with these images."""
        shapes = [tuple(sides) for sides in self.sides_B2.tolist()]
        for height, width in sorted(set(shapes)):
            chosen = [i for i, shape in enumerate(shapes) if shape == (height, width)]
            positions = torch.tensor(chosen, device=self.canvas_BCHW.device)
            yield positions, self.canvas_BCHW[positions, :, :height, :width]


def collate(images: Sequence[Tensor]) -> Rectangles:
    """Returns images (C, H, W) as one batch; the canvas is as large as the largest of them."""
    sides_B2 = torch.tensor([image.shape[1:] for image in images])
    height, width = sides_B2.amax(0).tolist()
    canvas_BCHW = torch.zeros((len(images), len(images[0]), height, width), dtype=torch.uint8)
    for canvas_CHW, image_CHW in zip(canvas_BCHW, images, strict=True):
        canvas_CHW[:, : image_CHW.shape[1], : image_CHW.shape[2]] = image_CHW
    return Rectangles(canvas_BCHW, sides_B2)
