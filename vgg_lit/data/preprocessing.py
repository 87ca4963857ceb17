"""Preprocessing from uint8 images to the network's float input; checkpoints store it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from vgg_lit.data.rectangles import Rectangles
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError
from vgg_lit.value_types import Fit, check_preprocessing

MAX_PADDING = 4

ImagesT = TypeVar("ImagesT", Tensor, Rectangles)

Normalization: TypeAlias = Literal["mean_std", "mean", "none"]
"""Normalisation of pixels in 0..1: (x - mean) / std, x - mean, or x."""


@dataclass(frozen=True)
class Preprocessing:
    """Geometry and normalisation from source images to network input.

    If source images are up to 4 pixels smaller than the network's input, they are padded with zeros,
    which keeps every pixel (28 -> 32). Any other difference is resized. The order in training is
    `pad`, augment, `resize`, `normalize`: padding before augmentation lets a crop shift the image
    within its margin, and resizing after augmentation makes augmentation work on the source size.

    Attributes:
        in_channels: number of image channels.
        source_size: side of the source's images, pixels.
        image_size: side of the network's input, pixels.
        mean: subtracted value per channel, for pixels in 0..1.
        std: divisor per channel, for pixels in 0..1; above 0.
        fit: way to a square of source images, see `vgg_lit.data.fitting.fit_image`.
        is_known: False if a custom data module normalises its images in a way that is not known; image
            files cannot be converted then.
    """

    in_channels: int
    source_size: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: Fit = "crop"
    is_known: bool = True

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
        fit: Fit = "crop",
    ) -> "Preprocessing":
        """Builds the preprocessing from the training images' statistics that `normalize` selects."""
        channels = len(statistics.mean)
        mean = (0.0,) * channels if normalize == "none" else statistics.mean
        std = statistics.std if normalize == "mean_std" else (1.0,) * channels
        return cls(channels, source_size, image_size, mean, std, fit)

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Returns the input of uint8 images: float32 (B, in_channels, image_size, image_size)."""
        return self.normalize(self.to_image_size(images_BCHW))

    @property
    def pads(self) -> bool:
        """Returns True if images are padded to the network's side."""
        return 0 < self.image_size - self.source_size <= MAX_PADDING

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """Padding on the left, right, top and bottom, pixels."""
        margin = self.image_size - self.source_size if self.pads else 0
        before, after = margin // 2, margin - margin // 2
        return before, after, before, after

    @property
    def padded_size(self) -> int:
        """Side of source images after `pad`, pixels."""
        return self.image_size if self.pads else self.source_size

    @property
    def resizes(self) -> bool:
        """Returns True if images are resized to the network's side."""
        return self.image_size != self.source_size and not self.pads

    def check_known(self, where: str) -> None:
        """Checks that image files can be converted.

        Raises:
            InputError: the normalisation is not known; `where` names the setting.
        """
        if not self.is_known:
            raise InputError(
                f"{where}: its data module returns float images of unknown normalisation; set data.mean and "
                "data.std, for pixels in 0..1, and train again"
            )

    def to_image_size(self, images_BCHW: Tensor) -> Tensor:
        """Brings source images to the network's side: `pad`, then `resize`."""
        return self.resize(self.pad(images_BCHW))

    def pad(self, images_BCHW: ImagesT) -> ImagesT:
        """Pads with zeros symmetrically if `pads`; an odd pixel goes to the right and bottom.

        Whole images are for the augmentation and stay as they are.
        """
        if isinstance(images_BCHW, Rectangles):
            return images_BCHW
        assert images_BCHW.shape[1:] == (self.in_channels, self.source_size, self.source_size)
        return F.pad(images_BCHW, self.margins) if self.pads else images_BCHW

    def resize(self, images_BCHW: Tensor | Rectangles) -> Tensor:
        """Resizes to the network's side if needed: bilinear, antialiased, float32 in 0..255.

        Not needed, for example, if an augmentation already returns images of that side. Of whole images
        the central square is taken.
        """
        if isinstance(images_BCHW, Rectangles):
            images_BCHW = images_BCHW.squares()
        if images_BCHW.shape[-1] == self.image_size:
            return images_BCHW
        # in float32: the uint8 kernels exist only on the CPU, and they round
        side = (self.image_size, self.image_size)
        return F.interpolate(images_BCHW.float(), side, mode="bilinear", antialias=True)

    def normalize(self, images_BCHW: Tensor) -> Tensor:
        """Returns (pixel / 255 - mean) / std as float32, by one scale and bias per channel.

        On a GPU the result is in `torch.channels_last`, the layout of the network. On a CPU a number per
        channel makes arithmetic in that layout slower, and the network changes the layout.
        """
        scale_C11, bias_C11 = scale_and_bias(self.mean, self.std, images_BCHW.device)
        if images_BCHW.device.type == "cpu":
            # in place on a single copy: allocation costs more than arithmetic (20x on 2 CPU cores)
            return images_BCHW.to(torch.float32, copy=True).mul_(scale_C11).add_(bias_C11)
        x_BCHW = torch.empty_like(
            images_BCHW, dtype=torch.float32, memory_format=torch.channels_last
        )
        return torch.mul(images_BCHW, scale_C11, out=x_BCHW).add_(bias_C11)

    def denormalize(self, x_BCHW: Tensor) -> Tensor:
        """Inverts `normalize` for display: returns pixels in 0..1."""
        scale_C11, bias_C11 = scale_and_bias(self.mean, self.std, x_BCHW.device)
        return ((x_BCHW.float() - bias_C11) / (255 * scale_C11)).clamp(0, 1)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain Python values for a checkpoint."""
        values = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if self.is_known:  # as in checkpoints of earlier versions
            del values["is_known"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Inverts `to_dict`.

        Raises:
            InputError: the values are invalid; they may come from an untrusted checkpoint.
        """
        check_preprocessing(values)
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


@lru_cache
def scale_and_bias(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Returns the scale and bias (C, 1, 1) that normalise pixels in 0..255.

    Built once per device: a new tensor from Python values would sync a GPU in every batch.
    """
    mean_C11 = torch.tensor(mean, dtype=torch.float64).view(-1, 1, 1)
    std_C11 = torch.tensor(std, dtype=torch.float64).view(-1, 1, 1)
    scale_C11, bias_C11 = 1 / (255 * std_C11), -mean_C11 / std_C11
    return scale_C11.to(device, torch.float32), bias_C11.to(device, torch.float32)
