"""Augmentation of a whole uint8 batch on its device, each sample with draws of its own.

Any callable `(images_BCHW: uint8, draws: Draws) -> uint8 images of the same shape` augments; it is
random only through `draws`, so that a sample comes out alike in any batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.errors import InputError


class NoAugmentation:
    """The images as they are."""

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """The same tensor."""
        return images_BCHW


class FlipCrop:
    """Horizontal flip, then a random crop from a margin of zeros.

    Args:
        padding: margin on every side, pixels; 0 does not crop.
        flip: whether to flip, with probability 1/2.
    """

    def __init__(self, padding: int = 4, flip: bool = True) -> None:
        if padding < 0:
            raise InputError(f"padding={padding}: 0 pixels or more")
        self.padding = padding
        self.flip = flip

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Each image at its own offset and side: one gather of rows, no loop, no wait for the device.

        The rows come from every window of `width` pixels of the padded images and their mirrored
        twins laid end to end; the windows overlap and are a view, so only the result is copied.
        """
        batch, channels, height, width = images_BCHW.shape
        padded = F.pad(images_BCHW, [self.padding] * 4)
        margins = 2 * self.padding + 1
        image_B = torch.arange(batch, device=images_BCHW.device)
        top_B = draws.integers("crop row", margins)
        left_B = draws.integers("crop column", margins)
        if self.flip:
            padded = torch.cat([padded, padded.flip(-1)])
            image_B = image_B + batch * (draws.uniform("flip") < 0.5)
        map_BC = image_B[:, None] * channels + torch.arange(channels, device=images_BCHW.device)
        row_BH = top_B[:, None] + torch.arange(height, device=images_BCHW.device)
        row_BCH = map_BC[:, :, None] * padded.shape[-2] + row_BH[:, None]
        window_BCH = row_BCH * padded.shape[-1] + left_B[:, None, None]
        windows = padded.flatten().unfold(0, width, 1)
        return windows.index_select(0, window_BCH.flatten()).view(batch, channels, height, width)
