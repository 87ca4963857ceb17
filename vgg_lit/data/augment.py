"""Augmentation of a whole batch on its device, with separate random draws for each sample.

    augment = Compose(flip_crop=FlipCrop(padding=4), erasing=RandomErasing())
    images_BCHW = augment(images_BCHW, Draws(seed, epoch, ids_B))

An augmentation is any callable `(images_BCHW: uint8, draws: Draws) -> uint8 images of the same
shape`. All its randomness comes from `draws`, so a sample gets the same result in any batch. Its
`prepare` method, if any, receives the image size and the statistics before training. If its attribute
`whole` is True, it takes `vgg_lit.data.rectangles.Rectangles` too. Its `mixing`
attribute, if any, mixes images and labels after all stages.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.mixing import Mixing
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


@runtime_checkable
class Augmentation(Protocol):
    """A transform of the images of a training batch."""

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns the transformed images."""


@runtime_checkable
class Prepared(Protocol):
    """An augmentation that depends on the training images."""

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Receives the side of the training images, in pixels, and their statistics.

        Raises:
            InputError: the augmentation does not support these images.
        """


class NoAugmentation:
    """The identity: returns images unchanged."""

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns the same tensor."""
        return images_BCHW


class Compose:
    """Augmentation stages applied in order, then mixing.

    Args:
        mixing: mixing of the images and labels of different samples.
        stages: stages in order of application, under names that a config can override; None skips
            a stage.
    """

    def __init__(self, mixing: Mixing | None = None, **stages: Augmentation | None) -> None:
        self.mixing = mixing
        self.stages = {name: stage for name, stage in stages.items() if stage is not None}

    @property
    def whole(self) -> bool:
        """True if the first stage takes whole images, see `vgg_lit.data.rectangles`."""
        return bool(getattr(next(iter(self.stages.values()), None), "whole", False))

    def prepare(self, size: int, statistics: ChannelStatistics) -> None:
        """Prepares the stages that need it."""
        for stage in self.stages.values():
            if isinstance(stage, Prepared):
                stage.prepare(size, statistics)

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns the images after the last stage, before mixing."""
        for stage in self.stages.values():
            images_BCHW = stage(images_BCHW, draws)
        return images_BCHW


class FlipCrop:
    """Horizontal flip, then a random crop from a margin.

    An alternating flip draws once, in epoch 0, and mirrors the image again in each later epoch. Two
    consecutive epochs then show each image from both sides; independent draws repeat a side half of
    the time.

    Args:
        padding: margin on each side, pixels; 0 disables cropping.
        flip: True flips with probability 1/2 in each epoch; "alternating"; False disables flipping.
        padding_mode: content of the margin: zeros, or the image mirrored at its edge.

    Source: Keller Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6
    (alternating flip).
    """

    def __init__(
        self,
        padding: int = 4,
        flip: bool | Literal["alternating"] = True,
        padding_mode: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        if padding < 0:
            raise InputError(f"padding={padding}: must be 0 pixels or more")
        self.padding = padding
        self.flip = flip
        self.padding_mode = padding_mode

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Flips and crops each image by one gather of rows, without a loop or a device sync.

        The rows are gathered from all windows of `width` pixels in the padded images and their
        mirrored copies, laid end to end. The windows are an overlapping view, so only the result is
        copied.
        """
        shape = images_BCHW.shape
        padded = images_BCHW
        if self.padding:
            mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
            padded = F.pad(images_BCHW, [self.padding] * 4, mode=mode)
        mirrored = padded.numel()  # distance of an image from its mirrored copy, in pixels
        if self.flip:
            padded = torch.cat([padded, padded.flip(-1)])
        start_B = draws.each(self._starts, padded.shape[-1], mirrored)
        row_BR = _rows(shape, self.padding, images_BCHW.device)
        window_BR = row_BR + start_B[:, None]
        windows = padded.flatten().unfold(0, shape[-1], 1)
        return windows.index_select(0, window_BR.flatten()).view(shape)

    def _starts(self, draws: Draws, width: int, mirrored: int) -> Tensor:
        """Returns the pixel at which a sample's crop starts, from the start of its image: (B,)."""
        margins = 2 * self.padding + 1
        start_B = draws.integers("crop row", margins) * width
        start_B = start_B + draws.integers("crop column", margins)
        return start_B + mirrored * self._flipped(draws) if self.flip else start_B

    def _flipped(self, draws: Draws) -> Tensor:
        """Returns the mask of flipped samples: (B,) bool."""
        if self.flip != "alternating":
            return draws.uniform("flip") < 0.5
        at_first_B = replace(draws, epoch=0).uniform("flip") < 0.5
        return at_first_B ^ (draws.epoch % 2 == 1)


@lru_cache(maxsize=8)
def _rows(shape: torch.Size, padding: int, device: torch.device) -> Tensor:
    """Returns the first pixels of the rows of uncropped images in padded ones: (B, C * H).

    Computed once per shape and device.
    """
    batch, channels, height, width = shape
    map_B11 = torch.arange(batch * channels).view(batch, channels, 1)
    row_BCH = map_B11 * (height + 2 * padding) + torch.arange(height)
    return (row_BCH.flatten(1) * (width + 2 * padding)).to(device)
