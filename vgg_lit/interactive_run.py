"""A trained run in Python, with the commands that use it; the same as in the shell.

run = vgg_lit.Run("latest")
run.history()
run.evaluate(flip=True)
run.predict("photos")[0].likeliest
run.draw("confusion")[0].figure
run.export(formats=["safetensors"])
"""

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.config.checks import check_section, to_plain
from vgg_lit.config.composing import compose, errors_in_one_line
from vgg_lit.config.schema import Predict
from vgg_lit.errors import InputError
from vgg_lit.evaluate import evaluate
from vgg_lit.evaluation.prediction import (
    Prediction,
    Predictor,
    classify,
    classify_tensor,
    find_images,
    load_trained,
)
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.export import export
from vgg_lit.runs import Run
from vgg_lit.targets import trust
from vgg_lit.visualize import draw

if TYPE_CHECKING:
    from PIL.Image import Image

    from vgg_lit.reports.picture import Picture

COUNTS = ("epoch", "step")
"""Columns of `metrics.csv` that are whole numbers."""


class InteractiveRun(Run):
    """A run directory with the commands that use it, named as in the shell.

    Args:
        path: the directory.

    Raises:
        InputError: there is no such directory, or it is not a run directory.
    """

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def evaluate(self, *overrides: str, **settings: Any) -> dict[str, float]:
        """Prints, records and returns the metrics, as `vgg-evaluate` does.

        Args:
            overrides: settings of the command, e.g. `"data=fashion_mnist"`.
            settings: the same by name, e.g. `flip=True`.

        Raises:
            InputError: the network does not support the views or the data.
        """
        config = compose(*overrides, **{"run": self.path, **settings}, command="evaluate")
        with errors_in_one_line():
            return evaluate(config)

    def predict(self, images: Any, **settings: Any) -> list[Prediction]:
        """Returns the likeliest classes of images; writes no file.

        Args:
            images: a file, a folder, a glob, or a list of these; or a picture of Pillow, a uint8 array (H, W)
                or (H, W, 3), or a list of these, of any size.
            settings: `checkpoint`, `top_k`, `batch_size`, `invert`, `accelerator`, `precision` and
                `trusted_targets` of `vgg-predict`.

        Raises:
            InputError: there is no such image, or one cannot be read.
        """
        listed = _listed(images)
        are_files = all(isinstance(one, str | os.PathLike) for one in listed)
        names = [os.fspath(one) if are_files else f"image {i}" for i, one in enumerate(listed)]
        typed = {"run": self.path, "images": names or ["none"], **settings}
        wanted = check_section(to_plain(compose(command="predict", **typed)), Predict)
        trust(wanted.trusted_targets)
        paths = find_images(names).paths if are_files else []
        (trained,) = find_trained([self], wanted.checkpoint)
        predictor = load_trained(trained, wanted.accelerator, wanted.precision)
        if not are_files:
            return _classify_pictures(listed, names, predictor, wanted)
        found, unreadable = classify(
            paths, predictor, wanted.batch_size, wanted.top_k, wanted.invert
        )
        if unreadable:
            raise unreadable[0]
        return found

    def draw(self, *figures: str, **settings: Any) -> "list[Picture]":
        """Returns figures as `vgg-visualize` draws them, with their titles and text; writes no file.

        Args:
            figures: names of figures, e.g. `"confusion"`; none: all that can be drawn.
            settings: settings of the command by name, e.g. `split="val"`, `images=12`.

        Raises:
            InputError: a figure cannot be drawn.
        """
        chosen = {"figures": list(figures)} if figures else {}
        config = compose(command="visualize", **{"run": self.path, **chosen, **settings})
        with errors_in_one_line():
            return draw(config)

    def export(self, **settings: Any) -> Path:
        """Writes the programs as `vgg-export` does; returns their folder.

        Args:
            settings: settings of the command by name, e.g. `formats=["safetensors"]`.

        Raises:
            InputError: the network cannot be exported.
            TrainingError: the output of a program differs from the network's.
        """
        config = compose(command="export", **{"run": self.path, **settings})
        with errors_in_one_line():
            return export(config)

    def history(self) -> Any:
        """Returns the metrics of each epoch: a DataFrame if pandas is installed, otherwise a list of dicts."""
        rows = [
            {
                name: int(value) if name in COUNTS else float(value) if value else math.nan
                for name, value in row.items()
            }
            for row in self.epochs()
        ]
        if find_spec("pandas") is None:
            return rows
        import pandas as pd

        return pd.DataFrame(rows)


def _listed(images: Any) -> list[Any]:
    """Returns images as a list; a path, a picture of Pillow and an array of one picture are one image.

    Raises:
        InputError: they are neither an image nor several.
    """
    shape: Sequence[int] = getattr(images, "shape", ())
    is_array = len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3, 4))
    if isinstance(images, str | os.PathLike) or hasattr(images, "getbands") or is_array:
        return [images]
    try:
        return list(images)
    except TypeError:
        raise InputError(f"images: {type(images).__name__} is not an image or a list") from None


def _classify_pictures(
    pictures: Sequence[Any], names: Sequence[str], predictor: Predictor, wanted: Predict
) -> list[Prediction]:
    """Classifies pictures of Pillow and uint8 arrays, prepared as image files are."""
    import torch

    from vgg_lit.data.fitting import fit_image

    found: list[Prediction] = []
    for start in range(0, len(pictures), wanted.batch_size):
        batch = slice(start, start + wanted.batch_size)
        prepared = []
        for name, picture in zip(names[batch], pictures[batch], strict=True):
            try:
                image = _copied(picture)
            except InputError as error:
                raise InputError(f"{name}: {error}") from None
            fitted = fit_image(image, predictor.in_channels, predictor.source_size, predictor.fit)
            prepared.append(torch.from_numpy(fitted))
        images_BCHW = torch.stack(prepared)
        found += classify_tensor(images_BCHW, names[batch], predictor, wanted.top_k, wanted.invert)
    return found


def _copied(picture: Any) -> "Image":
    """Returns a copy of a picture of Pillow, or a picture with the pixels of an array.

    Raises:
        InputError: it is neither, or the range of its levels is not known.
    """
    import numpy as np
    from PIL import Image

    from vgg_lit.data.images import check_depth

    if isinstance(picture, Image.Image):
        check_depth(picture)
        return picture.copy()
    allowed = "uint8 arrays (H, W) or (H, W, 3)"
    try:
        array = np.asarray(picture)
        if array.dtype == bool:
            array = 255 * array.astype(np.uint8)
        if array.ndim in (2, 3) and array.dtype != np.uint8:
            raise InputError(f"is an array of {array.dtype}; allowed: {allowed}")
        return Image.fromarray(array)
    except InputError:
        raise
    except (TypeError, ValueError, IndexError):
        raise InputError(
            f"is not a picture; allowed: paths, pictures of Pillow, {allowed}"
        ) from None
