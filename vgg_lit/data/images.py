"""Reading of an image file, PNG or JPEG, as a square uint8 tensor, with checks against damage."""

import struct
import warnings
import zlib
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vgg_lit.errors import InputError
from vgg_lit.system.files import replacing

MAX_PIXELS = 50_000_000
MAX_BYTES = 8 * MAX_PIXELS  # size of an uncompressed file with four 16-bit channels
_FORMATS = ("PNG", "JPEG")
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Formats of `write_image` by the ending of the file."""


def write_image(path: Path, image_CHW: Tensor) -> None:
    """Writes an image with pixels in 0..1, grey or colour, in the format of the file's ending."""
    pixels_HWC = (255 * image_CHW).round().byte().cpu().movedim(0, -1).numpy()
    image = Image.fromarray(pixels_HWC[..., 0] if pixels_HWC.shape[-1] == 1 else pixels_HWC)
    with replacing(path) as temporary:
        image.save(temporary, format=PICTURE_FORMATS[path.suffix], quality=95)


def read_image(path: str | Path, in_channels: int, size: int) -> Tensor:
    """Returns an image as uint8 (in_channels, size, size).

    The shorter side is resized to `size` and the centre is cropped. The EXIF orientation is applied
    if it can be read, transparency is composited over white, 16-bit grey is scaled to 8 bits, and
    palettes and CMYK are converted.

    Raises:
        InputError: the file is missing, not a PNG or JPEG, larger than 50 megapixels or 400 MB, or
            damaged.
    """
    if not Path(path).is_file():  # opening a pipe would block
        raise InputError(f"{path}: no such image file")
    if Path(path).stat().st_size > MAX_BYTES:
        raise InputError(_too_large(path))
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged EXIF, and about sizes that our lower limit refuses anyway
            warnings.filterwarnings("ignore", module="PIL")
            pixels = _decode(path, in_channels, size)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(_too_large(path)) from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a PNG or JPEG image") from None
    except _DAMAGE as error:
        raise InputError(f"{path}: the image is damaged or unreadable ({error})") from None
    return torch.from_numpy(pixels)


def _decode(path: str | Path, in_channels: int, size: int) -> np.ndarray:
    with Image.open(path, formats=_FORMATS) as image:
        _check_before_decoding(image, path)
        # a large JPEG is decoded at 1/2, 1/4 or 1/8, never below twice the target size
        image.draft(None, (2 * size, 2 * size))
        return fit_image(image, in_channels, size)


def fit_image(image: Image.Image, in_channels: int, size: int) -> np.ndarray:
    """Converts an opened image to uint8 (in_channels, size, size), as `read_image` describes."""
    ImageOps.exif_transpose(image, in_place=True)
    # as few copies of the whole image as possible: it may be large
    small = ImageOps.fit(_resizable(image), (size, size), Image.Resampling.BILINEAR)
    if "A" in small.mode:
        small = small.convert("RGBA")
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    pixels = np.array(small.convert("L" if in_channels == 1 else "RGB"))
    return pixels.reshape(size, size, in_channels).transpose(2, 0, 1).copy()


def _check_before_decoding(image: Image.Image, path: str | Path) -> None:
    """Checks the size in the header and the end marker, because Pillow checks neither."""
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(path))
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as body:
        if image.format == "PNG":
            complete = body.rfind(_PNG_END) > 0
        else:
            # entropy-coded data never contains FF D9: one after the last start of scan ends the image
            complete = body.rfind(_JPEG_END) > body.rfind(_JPEG_SCAN)
    if not complete:
        raise InputError(f"{path}: the image is damaged (truncated: it has no end marker)")


def _too_large(path: str | Path) -> str:
    return (
        f"{path}: exceeds the limit of {MAX_PIXELS // 10**6} megapixels or {MAX_BYTES // 10**6} MB;"
        " resize the image"
    )


def _resizable(image: Image.Image) -> Image.Image:
    """Converts an image to 8 bits per channel, without a palette or a transparent colour."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255
        levels = np.array(image)
        np.minimum(levels, 65407, out=levels)  # still maps to 255; prevents overflow in rounding
        levels += 128
        levels //= 257
        return Image.fromarray(levels.astype(np.uint8))
    if "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode in ("1", "P") else image
