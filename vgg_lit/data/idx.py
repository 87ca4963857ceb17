"""Data sets of four idx files, images and labels of `train` and `t10k`: MNIST and those in its format.

Source of the format: LeCun, Cortes & Burges, "The MNIST database of handwritten digits".
"""

import numpy as np
import torch

from vgg_lit.data.published import PublishedImages
from vgg_lit.data.sources import ResidentImages, Split

SIDE = 28


class IdxImages(PublishedImages):
    """Grey images of 28 pixels in four idx files."""

    in_channels = 1

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order.

        Raises:
            InputError: a file is missing or damaged.
        """
        prefix = "train" if split == "train" else "t10k"
        images = parse_idx(self._read(f"{prefix}-images-idx3-ubyte.gz"))
        labels = parse_idx(self._read(f"{prefix}-labels-idx1-ubyte.gz"))
        return ResidentImages(images.reshape(-1, 1, SIDE, SIDE), labels.long())


def parse_idx(content: bytes) -> torch.Tensor:
    """Parses an idx file of uint8: magic 00 00 08, number of axes, their lengths, the values."""
    assert content[:3] == b"\0\0\x08"
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4).astype(int)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    return torch.from_numpy(values.reshape(shape).copy())
