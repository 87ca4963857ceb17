"""Images and labels in one `.npz` file, in the layout of MedMNIST.

Source: Yang et al. 2023, "MedMNIST v2".
"""

import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image

from vgg_lit.data.sources import ResidentImages
from vgg_lit.errors import InputError, one_line
from vgg_lit.system.files import expanded
from vgg_lit.system.hardware import memory_bytes

SPLITS = ("train", "val", "test")
_DAMAGE = (
    *(OSError, ValueError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError),  # of zipfile: other compressions, encryption
)


class NpzImages:
    """The arrays `train_images`, `train_labels`, `val_...` and `test_...` of a file.

    Images are uint8 (N, H, H) or (N, H, H, 3), labels integers (N,) or (N, 1). `val_...` is optional.

    Args:
        root: the file.
        in_channels: 1 for grey, 3 for colour; images are converted.
        classes: class names, in label order; None: the numbers from 0.
    """

    def __init__(
        self, root: str | Path, in_channels: int = 3, classes: list[str] | None = None
    ) -> None:
        if in_channels not in (1, 3):
            raise InputError(f"in_channels={in_channels}: must be 1 (grey) or 3 (colour)")
        self.root = expanded(root)
        self.in_channels = in_channels
        self._given = classes
        if not self.root.is_file():
            raise InputError(f"root={self.root}: no such file; an .npz file is needed")

    @property
    def name(self) -> str:
        """The name of the file without its ending."""
        return self.root.stem

    @cached_property
    def _labels(self) -> dict[str, np.ndarray]:
        return {split: self._read_labels(split) for split in SPLITS if self._has(split)}

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order; reads the labels of all splits."""
        count = 1 + max(int(labels.max(initial=0)) for labels in self._labels.values())
        if self._given is None:
            return tuple(map(str, range(count)))
        if len(self._given) < count:
            raise InputError(
                f"classes: {len(self._given)} names; {self.root} has labels up to {count - 1}"
            )
        return tuple(self._given)

    @property
    def has_validation(self) -> bool:
        """True if the file has a validation split."""
        return self._has("val")

    def prepare(self) -> None:
        """Does nothing: the file is read by `load`."""

    def load(self, split: str) -> ResidentImages:
        """Returns the images of a split, in file order; "val" only if `has_validation`.

        Raises:
            InputError: an array is missing, damaged or of another type or shape.
        """
        key, labels = f"{split}_images", self._labels[split]
        images = self._read(key)
        is_colour = images.ndim == 4 and images.shape[3] == 3
        if images.dtype != np.uint8 or not (images.ndim == 3 or is_colour):
            raise self._refused(
                key,
                f"{images.dtype} {images.shape}; must be uint8 (N, H, H) or (N, H, H, 3)",
            )
        if images.shape[1] != images.shape[2] or images.shape[1] < 1:
            raise self._refused(key, f"{images.shape[1]} x {images.shape[2]}; must be square")
        if len(images) != len(labels):
            raise self._refused(key, f"{len(images)} images, but {len(labels)} labels")
        return ResidentImages(
            torch.from_numpy(self._converted(images)), torch.from_numpy(labels.astype(np.int64))
        )

    def _converted(self, images: np.ndarray) -> np.ndarray:
        """Returns images as (N, in_channels, H, H); grey of colour is Pillow's luma."""
        if images.ndim == 3:
            return np.repeat(images[:, None], self.in_channels, axis=1)
        if self.in_channels == 3:
            return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        grey = np.empty((len(images), 1, *images.shape[1:3]), np.uint8)
        for position, image in enumerate(images):
            grey[position, 0] = Image.fromarray(image).convert("L")
        return grey

    def _read_labels(self, split: str) -> np.ndarray:
        key = f"{split}_labels"
        labels = self._read(key)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.ndim == 2:
            raise self._refused(key, f"{labels.shape[1]} labels per image; must be 1")
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise self._refused(
                key, f"{labels.dtype} {labels.shape}; must be integers (N,) or (N, 1)"
            )
        return labels

    def _has(self, split: str) -> bool:
        return split != "val" or f"{split}_images.npy" in self._names

    @cached_property
    def _names(self) -> set[str]:
        try:
            with zipfile.ZipFile(self.root) as archive:
                return set(archive.namelist())
        except _DAMAGE as error:
            raise InputError(
                f"{self.root}: damaged, or not an .npz file ({one_line(error)})"
            ) from None

    def _read(self, key: str) -> np.ndarray:
        """Returns an array; objects, which would be unpickled, are refused by their header."""
        if f"{key}.npy" not in self._names:
            names = ", ".join(sorted(name.removesuffix(".npy") for name in self._names)[:10])
            raise self._refused(key, f"not in the file, which has: {names or 'nothing'}")
        try:
            with zipfile.ZipFile(self.root) as archive:
                info = archive.getinfo(f"{key}.npy")
                with archive.open(info) as member:
                    self._check_header(key, member, info.file_size)
                with archive.open(info) as member:
                    return np.lib.format.read_array(member, allow_pickle=False)
        except InputError:
            raise
        except (*_DAMAGE, MemoryError) as error:
            raise self._refused(key, f"damaged ({one_line(error)})") from None

    def _check_header(self, key: str, member: IO[bytes], size: int) -> None:
        """Checks the type and the size that the header declares before memory is allocated."""
        version = np.lib.format.read_magic(member)
        read: Any = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise self._refused(key, "holds Python objects, which are not read")
        declared = dtype.itemsize
        for axis in shape:  # Python integers do not overflow
            declared *= int(axis)
        if declared + member.tell() != size:
            raise self._refused(key, "damaged (its header does not match its size)")
        if size > memory_bytes():
            raise self._refused(key, f"{size / 2**30:.0f} GiB, more than this machine's memory")

    def _refused(self, key: str, problem: str) -> InputError:
        return InputError(f"{self.root}: {key}: {problem}")
