"""Fitting of an opened image of any shape into a square of uint8 pixels.

pixels_CSS = fit_image(Image.open("photo.jpg"), in_channels=3, size=224, fit="pad")
"""

from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from vgg_lit.data.rectangles import LONGEST
from vgg_lit.value_types import Fit

Shape: TypeAlias = Fit | Literal["whole"]
"""The fits of `fit_image`; "whole" is for `vgg_lit.data.rectangles`."""


def named_fit(fit: Shape) -> str:
    """Returns the part of a cache key for a fit; empty for "crop", as before other fits existed."""
    return "" if fit == "crop" else f"|{fit}"


def fit_image(image: Image.Image, in_channels: int, size: int, fit: Shape = "crop") -> np.ndarray:
    """Converts an opened image to uint8 (in_channels, size, size); for "whole" a side may be longer.

    The EXIF orientation is applied if it can be read, transparency is composited over white, 16-bit grey
    is scaled to 8 bits, and palettes and CMYK are converted. Resizing is bilinear and antialiased.

    Args:
        image: the image; its orientation is changed in place.
        in_channels: 1 for grey, 3 for colour.
        size: side of the result, pixels.
        fit: "crop" resizes the shorter side to `size` and crops the centre; "pad" resizes the longer side
            and adds black on both sides; "stretch" resizes both sides, which changes the proportions; "whole" resizes the shorter side and crops only images that
            are longer than `LONGEST` times their shorter side.
    """
    ImageOps.exif_transpose(image, in_place=True)
    # as few copies of the whole image as possible: it may be large
    small = _resized(_resizable(image), size, fit)
    if "A" in small.mode or "a" in small.mode:
        small = small.convert("RGBA")
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB")
    pixels = np.array(small.convert("L" if in_channels == 1 else "RGB"))
    height, width = pixels.shape[:2]
    pixels_CHW = pixels.reshape(height, width, in_channels).transpose(2, 0, 1)
    if height == width == size or fit == "whole":
        return pixels_CHW.copy()
    padded_CSS = np.zeros((in_channels, size, size), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    padded_CSS[:, top : top + height, left : left + width] = pixels_CHW
    return padded_CSS


def _resized(image: Image.Image, size: int, fit: Shape) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    if fit == "stretch":
        return image.resize((size, size), Image.Resampling.BILINEAR)
    if fit == "whole":
        shorter = min(image.size)
        sides = tuple(min(side, LONGEST * shorter) for side in image.size)
        left, top = ((side - kept) / 2 for side, kept in zip(image.size, sides, strict=True))
        width, height = (round(side * size / shorter) for side in sides)
        box = (left, top, left + sides[0], top + sides[1])
        return image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)


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
