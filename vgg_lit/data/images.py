"""Reading of an image file as a square uint8 tensor, with checks against damage."""

import math
import os
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from stat import S_ISREG

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vgg_lit.data.fitting import Shape, fit_image
from vgg_lit.data.image_formats import (
    FORMAT_NAMES,
    FORMATS,
    PICTURE_FORMATS,
    is_complete,
    webp_size,
)
from vgg_lit.errors import InputError, one_line
from vgg_lit.system.files import replacing, shown_path

MAX_MEGAPIXELS = 120.0
"""The default limit: the photos of a phone with 108 megapixels are read."""

_BYTES_PER_PIXEL = 8  # of an uncompressed file with four 16-bit channels
MAX_BYTES = int(_BYTES_PER_PIXEL * MAX_MEGAPIXELS * 1e6)
"""The default limit on the size of an image file."""

_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError),
    *(ZeroDivisionError, struct.error, zlib.error),
)


def write_image(path: Path, image_CHW: Tensor) -> None:
    """Writes an image with pixels in 0..1, grey or colour, in the format of the file's ending."""
    pixels_HWC = (255 * image_CHW).round().byte().cpu().movedim(0, -1).numpy()
    image = Image.fromarray(pixels_HWC[..., 0] if pixels_HWC.shape[-1] == 1 else pixels_HWC)
    with replacing(path) as temporary:
        image.save(temporary, format=PICTURE_FORMATS[path.suffix], quality=95)


def read_image(
    path: str | Path,
    in_channels: int,
    size: int,
    max_megapixels: float = MAX_MEGAPIXELS,
    fit: Shape = "crop",
) -> Tensor:
    """Returns an image as uint8 (in_channels, size, size).

    The format is PNG, JPEG, WebP, BMP, TIFF or GIF, whatever the ending of the file; of several frames
    or pages the first is read. It is converted as in `vgg_lit.data.fitting.fit_image`.

    Args:
        path: the image file.
        in_channels: 1 for grey, 3 for colour.
        size: side of the result, pixels.
        max_megapixels: images with more pixels, or more than 8 bytes for each of them, are refused.
        fit: "crop", "pad" or "stretch": the way to a square, as in `fit_image`.

    Raises:
        InputError: the file is missing, not an image of these formats, too large, or damaged.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or not S_ISREG(status.st_mode):  # opening a pipe would block
        raise InputError(f"{shown_path(path)}: no such image file")
    if status.st_size > _BYTES_PER_PIXEL * max_megapixels * 1e6:
        raise InputError(_too_large(shown_path(path), max_megapixels))
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged EXIF, and about sizes that our lower limit refuses anyway
            warnings.filterwarnings("ignore", module="PIL")
            pixels = _decode(path, in_channels, size, max_megapixels, fit)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(_too_large(shown_path(path), max_megapixels)) from None
    except UnidentifiedImageError:
        raise InputError(f"{shown_path(path)}: not a {FORMAT_NAMES} image") from None
    except _DAMAGE as error:
        reason = "".join(c if c.isprintable() else "?" for c in one_line(error))
        raise InputError(
            f"{shown_path(path)}: the image is damaged or unreadable ({reason})"
        ) from None
    return torch.from_numpy(pixels)


def _decode(
    path: str | Path, in_channels: int, size: int, max_megapixels: float, fit: Shape
) -> np.ndarray:
    with open(path, "rb", buffering=0) as file:
        head = file.read(30)
    dimensions = webp_size(head)
    if dimensions:  # Pillow allocates memory for a WebP image when it opens the file
        _check_size(*dimensions, path, max_megapixels)
    with _quiet_libtiff(head), _opened(path, max_megapixels) as image:
        _check_before_decoding(image, path, max_megapixels)
        # a large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the target size
        image.draft(None, (2 * size, 2 * size))
        return fit_image(image, in_channels, size, fit)


@contextmanager
def _quiet_libtiff(head: bytes) -> Iterator[None]:
    """Silences libtiff, which writes to the standard error of the process, while a TIFF is read."""
    if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _opened(path: str | Path, max_megapixels: float) -> Image.Image:
    """Opens an image with our limit in place of Pillow's, which refuses 179 megapixels and more."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, math.ceil(max_megapixels * 1e6)
    try:
        return Image.open(path, formats=FORMATS)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_before_decoding(image: Image.Image, path: str | Path, max_megapixels: float) -> None:
    """Checks the size in the header and the end marker, because Pillow checks neither."""
    _check_size(image.width, image.height, path, max_megapixels)
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise InputError(f"{shown_path(path)}: has 32 bits per channel; allowed: 8 or 16")
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as body:
        if _lacks_strips(image) or not is_complete(image.format, body):
            raise InputError(
                f"{shown_path(path)}: the image is damaged (truncated: its end is missing)"
            )


def _lacks_strips(image: Image.Image) -> bool:
    """Returns True if strips or tiles of a TIFF are missing, whose place Pillow would leave black."""
    boxes = [box for _, box, *_ in getattr(image, "tile", [])]
    return image.format == "TIFF" and not any(
        right >= image.width and bottom >= image.height for _, _, right, bottom in boxes
    )


def _check_size(width: int, height: int, path: str | Path, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise InputError(_too_large(shown_path(path), max_megapixels))


def _too_large(name: str, max_megapixels: float) -> str:
    size = _BYTES_PER_PIXEL * max_megapixels
    return (
        f"{name}: exceeds the limit of {max_megapixels:g} megapixels or {size:g} MB; resize the image,"
        " or raise data.source.max_megapixels in training"
    )
