"""Class probabilities of pictures that a program holds in memory: of Pillow, arrays and tensors.

found = classify_pictures(listed_images(images), predictor, batch_size=64, top_k=3, invert=False)
"""

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vgg_lit.errors import InputError
from vgg_lit.evaluation.prediction import Prediction, Predictor, classify_tensor

if TYPE_CHECKING:
    from PIL.Image import Image

CHANNELS = (1, 3, 4)
"""Numbers of channels of a picture: grey, colour, and colour with transparency."""

ALLOWED = "uint8 arrays (H, W) or (H, W, 3)"


def listed_images(images: Any) -> list[Any]:
    """Returns images as a list; a path, a picture of Pillow and an array of one picture are one image.

    Raises:
        InputError: they are neither an image nor several, or an array may be one picture or several.
    """
    shape: Sequence[int] = getattr(images, "shape", ())
    is_array = len(shape) == 2 or (len(shape) == 3 and shape[-1] in CHANNELS)
    if isinstance(images, str | os.PathLike) or hasattr(images, "getbands") or is_array:
        return [images]
    if len(shape) == 3 and shape[0] in CHANNELS[1:]:
        raise InputError(
            f"images: an array {tuple(shape)} is one picture with the channels first, or {shape[0]} grey "
            "pictures; allowed: [x] for the one, list(x) for the others"
        )
    try:
        return list(images)
    except TypeError:
        raise InputError(f"images: {type(images).__name__} is not an image or a list") from None


def classify_pictures(
    pictures: Sequence[Any], predictor: Predictor, batch_size: int, top_k: int, invert: bool
) -> list[Prediction]:
    """Classifies pictures, prepared as image files are; their names are their numbers.

    Args:
        pictures: pictures of Pillow; uint8 arrays or tensors (H, W), (H, W, C) or (C, H, W).
        predictor: the network.
        batch_size: images in a batch.
        top_k: number of classes for each picture.
        invert: inverts the pixels.

    Raises:
        InputError: one is not a picture, or cannot be read.
    """
    import torch

    from vgg_lit.data.images import decode_image

    found: list[Prediction] = []
    names = [f"image {number}" for number in range(len(pictures))]
    channels, size, fit = predictor.in_channels, predictor.source_size, predictor.fit
    for start in range(0, len(pictures), batch_size):
        batch = slice(start, start + batch_size)
        prepared = []
        for name, picture in zip(names[batch], pictures[batch], strict=True):
            try:
                prepared.append(decode_image(_copied(picture), channels, size, math.inf, fit))
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
        found += classify_tensor(torch.stack(prepared), names[batch], predictor, top_k, invert)
    return found


def _copied(picture: Any) -> "Image":
    """Returns a copy of a picture of Pillow, or a picture with the pixels of an array.

    Raises:
        InputError: it is neither, cannot be read, or the range of its levels is not known.
    """
    import numpy as np
    from PIL import Image
    from torch import Tensor

    from vgg_lit.data.images import DAMAGE, unreadable

    if isinstance(picture, Image.Image):
        try:
            return picture.copy()  # reads the file that it was opened from
        except DAMAGE as error:
            raise unreadable(error) from None
    try:
        array = np.asarray(picture.detach().cpu() if isinstance(picture, Tensor) else picture)
        if array.dtype == bool:
            array = 255 * array.astype(np.uint8)
        if array.ndim in (2, 3) and array.dtype != np.uint8:
            raise InputError(f"is an array of {array.dtype}; allowed: {ALLOWED}")
        if array.ndim == 3 and array.shape[-1] not in CHANNELS and array.shape[0] in CHANNELS:
            array = np.moveaxis(array, 0, -1)
        if array.ndim == 3 and array.shape[-1] == 1:
            array = array[..., 0]
        return Image.fromarray(array)
    except InputError:
        raise
    except (TypeError, ValueError, IndexError):
        raise InputError(
            f"is not a picture; allowed: paths, pictures of Pillow, {ALLOWED}"
        ) from None
