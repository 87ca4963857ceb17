"""Opening one image file: PNG or JPEG, checked before and after decoding, as a square uint8 tensor."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vgg_lit.errors import InputError

MAX_PIXELS = 50_000_000
_FORMATS = ("PNG", "JPEG")
_PNG_END = b"IEND\xaeB`\x82"
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_image(path: str | Path, in_channels: int, size: int) -> Tensor:
    """The image as uint8 (in_channels, size, size): shorter side resized to `size`, centre kept.

    The EXIF orientation is applied, transparency laid over white, 16-bit grey scaled to 8 bits,
    palettes and CMYK converted.

    Raises:
        InputError: the file is missing, no PNG or JPEG, larger than 50 megapixels, or damaged.
    """
    try:
        pixels = _decode(path, in_channels, size)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such image file") from None
    except Image.DecompressionBombError:
        raise InputError(_too_large(path)) from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a PNG or JPEG image, the formats that are read") from None
    except _DAMAGE as error:
        raise InputError(f"{path}: the image is damaged or unreadable ({error})") from None
    return torch.from_numpy(pixels.reshape(size, size, in_channels).transpose(2, 0, 1).copy())


def _decode(path: str | Path, in_channels: int, size: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
        image = Image.open(path, formats=_FORMATS)
    with image:
        _check_before_decoding(image, path)
        # a JPEG much too large is decoded at 1/2, 1/4 or 1/8, never below twice the target
        image.draft(None, (2 * size, 2 * size))
        upright = ImageOps.exif_transpose(image)
        eight_bit = _eight_bit(upright, in_channels)
        return np.array(ImageOps.fit(eight_bit, (size, size), Image.Resampling.BILINEAR))


def _check_before_decoding(image: Image.Image, path: str | Path) -> None:
    """The header's size, and the end marker: Pillow decodes without limit and without the end."""
    if image.width * image.height > MAX_PIXELS:
        raise InputError(_too_large(path))
    body = Path(path).read_bytes()
    if image.format == "PNG":
        complete = _PNG_END in body
    else:
        # entropy-coded data never contains FF D9: one after the last start of scan ends the image
        complete = body.rfind(_JPEG_END) > body.rfind(_JPEG_SCAN)
    if not complete:
        raise InputError(f"{path}: the image is damaged (truncated: it has no end marker)")


def _too_large(path: str | Path) -> str:
    return f"{path}: larger than {MAX_PIXELS // 10**6} megapixels, the limit; make it smaller"


def _eight_bit(image: Image.Image, in_channels: int) -> Image.Image:
    """The image in mode L or RGB."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip at 255
        levels = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8))
    elif "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if in_channels == 1 else "RGB")
