"""SVHN: cropped house numbers in MATLAB files, which are read without SciPy.

Source: Netzer et al. 2011, "Reading digits in natural images with unsupervised feature learning".
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vgg_lit.data.published import MIB, PublishedFile, PublishedImages
from vgg_lit.data.sources import ResidentImages, Split

URL = "https://ufldl.stanford.edu/housenumbers/"
FILES = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    "extra_32x32.mat": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
}

# MAT-file level 5: element types
_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8"}
_TYPES |= {12: "<i8", 13: "<u8"}
_MATRIX, _COMPRESSED = 14, 15
_HEADER_BYTES = 128


class SVHN(PublishedImages):
    """All 73,257 training and 26,032 test images of house-number digits.

    Args:
        root: folder of `train_32x32.mat` and `test_32x32.mat`, or of their folder `svhn`, to which
            missing files are downloaded.
        download: True allows downloading missing files.
        extra: True adds the 531,131 easier images of `extra_32x32.mat` (1.3 GB) to the training
            images.
    """

    name = "svhn"
    in_channels = 3
    title = "SVHN"
    folders = ("svhn", "")
    classes = tuple("0123456789")

    def __init__(self, root: str | Path, download: bool = True, extra: bool = False) -> None:
        super().__init__(root, download)
        self.extra = extra
        names = [name for name in FILES if extra or not name.startswith("extra")]
        self.files = tuple(
            PublishedFile(name, URL + name, FILES[name], max_bytes=2048 * MIB) for name in names
        )

    def load(self, split: Split) -> ResidentImages:
        """Returns the images of a split, in file order, `extra` last.

        Raises:
            InputError: a file is missing or damaged.
        """
        names = [f"{split}_32x32.mat"]
        if split == "train" and self.extra:
            names.append("extra_32x32.mat")
        files = [read_mat(self._read(name)) for name in names]
        images = np.concatenate([file["X"].transpose(3, 2, 0, 1) for file in files])
        images = np.ascontiguousarray(images)
        labels = np.concatenate([file["y"].reshape(-1).astype(np.int64) for file in files])
        return ResidentImages(torch.from_numpy(images), torch.from_numpy(labels % 10))  # 10 is 0


def read_mat(content: bytes) -> dict[str, np.ndarray]:
    """Returns the numeric arrays of a verified MAT-file of level 5, by name."""
    arrays = {}
    for kind, data in _elements(memoryview(content)[_HEADER_BYTES:]):
        if kind == _COMPRESSED:
            kind, data = next(_elements(memoryview(zlib.decompress(data))))
        if kind == _MATRIX:
            name, array = _read_matrix(data)
            arrays[name] = array
    return arrays


class _Element(NamedTuple):
    kind: int
    data: memoryview


def _elements(content: memoryview) -> Iterator[_Element]:
    """Yields the data elements one after the other; elements of at most 4 bytes are packed."""
    place = 0
    while place + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, place)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
        else:
            start = place + 8
            end = start + size + (0 if kind == _COMPRESSED else -size % 8)
        yield _Element(kind, content[start : start + size])
        place = end


def _read_matrix(data: memoryview) -> tuple[str, np.ndarray]:
    _flags, shape, name, values = list(_elements(data))[:4]
    axes = np.frombuffer(shape.data, "<i4")
    array = np.frombuffer(values.data, _TYPES[values.kind]).reshape(axes, order="F")
    return bytes(name.data).decode("ascii"), array
