"""Reading of an image file or of encoded bytes as a square uint8 tensor, with checks against damage.

read_image("photo.jpg", in_channels=3, size=224)
decode_image(io.BytesIO(content), in_channels=3, size=224)
"""

import io
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
from typing import BinaryIO

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

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError),
    *(ZeroDivisionError, struct.error, zlib.error),
)
"""Exceptions of Pillow for damaged images."""


class _TooLarge(InputError):
    """An image above the limits."""


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
    name = shown_path(path)
    if status is None or not S_ISREG(status.st_mode):  # opening a pipe would block
        raise InputError(f"{name}: no such image file")
    try:
        if status.st_size > _BYTES_PER_PIXEL * max_megapixels * 1e6:
            raise _too_large(max_megapixels)
        with open(path, "rb") as file:
            return decode_image(file, in_channels, size, max_megapixels, fit)
    except _TooLarge as error:
        remedy = "resize the image, or raise data.source.max_megapixels in training"
        raise InputError(f"{name}: {error}; {remedy}") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except OSError as error:
        raise InputError(f"{name}: {unreadable(error)}") from None


def decode_image(
    content: BinaryIO | Image.Image,
    in_channels: int,
    size: int,
    max_megapixels: float = MAX_MEGAPIXELS,
    fit: Shape = "crop",
    formats: tuple[str, ...] = FORMATS,
) -> Tensor:
    """Returns an image as uint8 (in_channels, size, size), as `read_image` does.

    Args:
        content: a file on disk or a BytesIO, or an image of Pillow, which is changed in place.
        in_channels: 1 for grey, 3 for colour.
        size: side of the result, pixels.
        max_megapixels: images with more pixels are refused.
        fit: way to a square, as in `fit_image`.
        formats: Pillow's names of the formats of a file.

    Raises:
        InputError: it is not an image of the formats, too large, or damaged; the message has no name.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged EXIF, and about sizes that our lower limit refuses anyway
            warnings.filterwarnings("ignore", module="PIL")
            if isinstance(content, Image.Image):
                pixels = _fitted(content, in_channels, size, max_megapixels, fit)
            else:
                pixels = _decode(content, in_channels, size, max_megapixels, fit, formats)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(max_megapixels) from None
    except UnidentifiedImageError:
        raise InputError(f"not a {FORMAT_NAMES} image") from None
    except DAMAGE as error:
        raise unreadable(error) from None
    return torch.from_numpy(pixels)


def unreadable(error: Exception) -> InputError:
    """Returns the error for an image that raises an exception of `DAMAGE`."""
    reason = "".join(c if c.isprintable() else "?" for c in one_line(error))
    return InputError(f"the image is damaged or unreadable ({reason})")


def check_depth(image: Image.Image) -> None:
    """Checks that the levels of an image have a known range.

    Raises:
        InputError: it has 32 bits per channel.
    """
    # Pillow opens a PNG with 16 bits as 32 bits
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        raise InputError("has 32 bits per channel; allowed: 8 or 16")


def _decode(
    file: BinaryIO,
    in_channels: int,
    size: int,
    max_megapixels: float,
    fit: Shape,
    formats: tuple[str, ...],
) -> np.ndarray:
    head = file.read(30)
    file.seek(0)
    dimensions = webp_size(head)
    if dimensions:  # Pillow allocates memory for a WebP image when it opens the file
        _check_size(*dimensions, max_megapixels)
    with _quiet_libtiff(head), _opened(file, max_megapixels, formats) as image:
        return _fitted(image, in_channels, size, max_megapixels, fit, file)


def _fitted(
    image: Image.Image,
    in_channels: int,
    size: int,
    max_megapixels: float,
    fit: Shape,
    file: BinaryIO | None = None,
) -> np.ndarray:
    """Returns the pixels of an opened image; checks the size in its header and, in its file, the end."""
    _check_size(image.width, image.height, max_megapixels)
    check_depth(image)
    if file is not None:
        _check_end(image, file)
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


def _opened(file: BinaryIO, max_megapixels: float, formats: tuple[str, ...]) -> Image.Image:
    """Opens an image with our limit in place of Pillow's, which refuses 179 megapixels and more."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, math.ceil(max_megapixels * 1e6)
    try:
        return Image.open(file, formats=formats)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_end(image: Image.Image, file: BinaryIO) -> None:
    """Checks the end marker, because Pillow does not."""
    if isinstance(file, io.BytesIO):
        is_whole = is_complete(image.format, file.getvalue())
    else:
        with mmap(file.fileno(), 0, access=ACCESS_READ) as body:
            is_whole = is_complete(image.format, body)
    if _lacks_strips(image) or not is_whole:
        raise InputError("the image is damaged (truncated: its end is missing)")


def _lacks_strips(image: Image.Image) -> bool:
    """Returns True if strips or tiles of a TIFF are missing, whose place Pillow would leave black."""
    boxes = [box for _, box, *_ in getattr(image, "tile", [])]
    return image.format == "TIFF" and not any(
        right >= image.width and bottom >= image.height for _, _, right, bottom in boxes
    )


def _check_size(width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise _too_large(max_megapixels)


def _too_large(max_megapixels: float) -> _TooLarge:
    size = _BYTES_PER_PIXEL * max_megapixels
    return _TooLarge(f"exceeds the limit of {max_megapixels:g} megapixels or {size:g} MB")
