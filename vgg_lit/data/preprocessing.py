"""What turns uint8 images into the network's float input; a checkpoint carries it along."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.value_types import check_preprocessing

MAX_PADDING = 4

Normalization: TypeAlias = Literal["mean_std", "mean", "none"]
"""What is done to pixels in 0..1: less the mean and over the deviation, less the mean, or nothing."""


@dataclass(frozen=True)
class Preprocessing:
    """Geometry and normalisation from source images to network input.

    A source up to 4 pixels smaller than the network's side is padded with zeros, which keeps every
    pixel as it was (28 -> 32); any other difference is resized. In training, padding comes before
    augmentation, so that a crop moves the image within its margin, and resizing after it, so that
    augmentation works on the smaller map: `pad`, augment, `resize`, `normalize`.

    Attributes:
        in_channels: of the images.
        source_size: side of the source's images, pixels.
        image_size: side of the network's input, pixels.
        mean: that is subtracted, per channel, for pixels in 0..1.
        std: that is divided by, per channel, for pixels in 0..1; above 0.
    """

    in_channels: int
    source_size: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        assert self.in_channels == len(self.mean) == len(self.std)
        assert all(std > 0 for std in self.std)

    @classmethod
    def measured(
        cls,
        source_size: int,
        image_size: int,
        statistics: ChannelStatistics,
        normalize: Normalization = "mean_std",
    ) -> "Preprocessing":
        """With as much of the training images' statistics as `normalize` says."""
        channels = len(statistics.mean)
        mean = (0.0,) * channels if normalize == "none" else statistics.mean
        std = statistics.std if normalize == "mean_std" else (1.0,) * channels
        return cls(channels, source_size, image_size, mean, std)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """uint8 source images to float32 input (B, in_channels, image_size, image_size)."""
        return self.normalize(self.fit(images_BCHW))

    @property
    def pads(self) -> bool:
        """Whether the geometry is padding."""
        return 0 < self.image_size - self.source_size <= MAX_PADDING

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """What padding adds left, right, above and below, pixels."""
        margin = self.image_size - self.source_size if self.pads else 0
        before, after = margin // 2, margin - margin // 2
        return before, after, before, after

    @property
    def padded_size(self) -> int:
        """Side of source images after `pad`, pixels."""
        return self.image_size if self.pads else self.source_size

    @property
    def resizes(self) -> bool:
        """Whether the geometry is resizing."""
        return self.image_size != self.source_size and not self.pads

    def fit(self, images_BCHW: Tensor) -> Tensor:
        """Source images at the network's side: `pad`, then `resize`."""
        return self.resize(self.pad(images_BCHW))

    def pad(self, images_BCHW: Tensor) -> Tensor:
        """Symmetric zero padding if `pads` (an odd pixel goes right and below), else as they are."""
        assert images_BCHW.shape[1:] == (self.in_channels, self.source_size, self.source_size)
        return F.pad(images_BCHW, self.margins) if self.pads else images_BCHW

    def resize(self, images_BCHW: Tensor) -> Tensor:
        """Antialiased bilinear resizing to the network's side (float32, still in 0..255), if needed.

        An augmentation may have brought the images there already.
        """
        if images_BCHW.shape[-1] == self.image_size:
            return images_BCHW
        # in float32: the uint8 kernels exist on the CPU alone and round
        side = (self.image_size, self.image_size)
        return F.interpolate(images_BCHW.float(), side, mode="bilinear", antialias=True)

    def normalize(self, images_BCHW: Tensor) -> Tensor:
        """(pixel / 255 - mean) / std as float32, as one scale and one bias a channel."""
        scale_C11, bias_C11 = scale_and_bias(self.mean, self.std, images_BCHW.device)
        # in place on the one copy: allocating costs more than arithmetic (20x on 2 CPU cores)
        return images_BCHW.to(torch.float32, copy=True).mul_(scale_C11).add_(bias_C11)

    def denormalize(self, x_BCHW: Tensor) -> Tensor:
        """The inverse of `normalize`, for pictures: pixels in 0..1."""
        scale_C11, bias_C11 = scale_and_bias(self.mean, self.std, x_BCHW.device)
        return ((x_BCHW.float() - bias_C11) / (255 * scale_C11)).clamp(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, as a checkpoint holds them."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """The inverse of `to_dict`.

        Raises:
            InputError: the values are not such; they may come from a stranger's checkpoint.
        """
        check_preprocessing(values)
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


@lru_cache
def scale_and_bias(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The factor and the offset (C, 1, 1) that normalise pixels in 0..255.

    Made once a device: a new tensor from Python values makes a GPU wait in every batch.
    """
    mean_C11 = torch.tensor(mean, dtype=torch.float64).view(-1, 1, 1)
    std_C11 = torch.tensor(std, dtype=torch.float64).view(-1, 1, 1)
    scale_C11, bias_C11 = 1 / (255 * std_C11), -mean_C11 / std_C11
    return scale_C11.to(device, torch.float32), bias_C11.to(device, torch.float32)
