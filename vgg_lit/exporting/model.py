"""Exported models: their description, and inference with ONNX Runtime.

    model = ExportedModel("logs/runs/.../export")        # or the .onnx file itself
    probabilities_BK = model.probabilities(images_BCHW)  # uint8, side model.description.source_size

Every file of an export contains the description, so that it can be used without the other files; the folder
also has it as `model.json`. Shape suffixes: B images, C channels, H x W pixels, K classes.
"""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgg_lit.data.image_ranges import ImageRanges
from vgg_lit.errors import InputError, one_line
from vgg_lit.evaluation.prediction import Predictor
from vgg_lit.exporting.isolation import IsolatedProgram, OwnProgram, Program
from vgg_lit.system.extras import require
from vgg_lit.system.small_files import parse_json
from vgg_lit.tables import print_facts
from vgg_lit.value_types import MAX_SIDE, Fit

SCHEMA = 1
"""Version of the description's layout; increased when older readers would misread it."""

METADATA = "vgg_lit"
"""Key of the description in the metadata of a file."""

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
"""Names of a program's input and possible outputs."""

FITTING: dict[Fit, str] = {
    "crop": "the shorter side resized to {side} pixels (bilinear, antialiased), the centre kept",
    "pad": "the longer side resized to {side} pixels (bilinear, antialiased), black added on both sides",
    "stretch": "both sides resized to {side} pixels (bilinear, antialiased)",
}
"""The way of an image file to a square of a side, for readers of a description."""

ONNX, ONNX_INT8 = "model.onnx", "model_int8.onnx"


@dataclass(frozen=True)
class Description:
    """The input, output and network of an exported program.

    Attributes:
        classes: class names in the order of the outputs.
        in_channels: 1 for grey, 3 for colour (RGB).
        source_size: side of the input images, pixels.
        fit: way to a square, see `vgg_lit.data.fitting.fit_image`.
        output: "logits" or "probabilities".
        preprocessing: preprocessing inside the program, for users of the weights.
        network: `_target_` and arguments of the network, as in `conf/model`.
        image_ranges: pixel statistics of the training images; None: not known.
    """

    classes: tuple[str, ...]
    in_channels: int
    source_size: int
    fit: Fit
    output: str
    preprocessing: dict[str, Any]
    network: dict[str, Any]
    image_ranges: ImageRanges | None = None

    def to_json(self) -> str:
        """Formats the description as self-explanatory JSON."""
        side = self.source_size
        content = {
            "schema": SCHEMA,
            "input": {
                "name": IMAGES,
                "dtype": "uint8",
                "shape": ["batch", self.in_channels, side, side],
                "channels": "grey" if self.in_channels == 1 else "RGB",
                "fit": self.fit,
                "from_a_file": "EXIF orientation applied, converted to these channels, "
                + FITTING[self.fit].format(side=side),
            },
            "output": {
                "name": self.output,
                "dtype": "float32",
                "shape": ["batch", len(self.classes)],
            },
            "classes": list(self.classes),
            "preprocessing": self.preprocessing,
            "network": self.network,
        }
        if self.image_ranges is not None:
            content["training_images"] = self.image_ranges.to_dict()
        return json.dumps(content, indent=2) + "\n"

    @property
    def largest_side(self) -> int:
        """Side of the largest maps in the program, pixels."""
        return max(self.source_size, self.preprocessing.get("resize_to") or 0)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Parses the output of `to_json`; the text may come from an untrusted file.

        Raises:
            InputError: the text is not a valid description.
        """
        try:
            content = parse_json(text)
            schema, classes = content["schema"], content["classes"]
            _, channels, height, width = content["input"]["shape"]
            fit = content["input"].get("fit", "crop")
            output = content["output"]["name"]
            ranges = content.get("training_images")
            preprocessing, network = content["preprocessing"], content["network"]
            is_sound = (
                isinstance(preprocessing, dict)
                and isinstance(network, dict)
                and channels == len(preprocessing["subtract_mean"])
                and isinstance(channels, int)
                and channels >= 1
                and height == width
                and isinstance(height, int)
                and 1 <= height <= MAX_SIDE
                and fit in FITTING
                and preprocessing.get("resize_to") in (None, *range(1, MAX_SIDE + 1))
                and output in (LOGITS, PROBABILITIES)
                and isinstance(classes, list)
                and bool(classes)
                and all(isinstance(name, str) for name in classes)
            )
            made = cls(
                tuple(classes),
                channels,
                height,
                fit,
                output,
                preprocessing,
                network,
                ImageRanges.from_dict(ranges) if ranges is not None else None,
            )
        except (ValueError, TypeError, KeyError):
            is_sound = False
        if not is_sound:
            raise InputError("its description is damaged")
        if schema != SCHEMA:
            raise InputError(
                f"its description has schema {schema}; this version of vgg_lit reads {SCHEMA}"
            )
        return made


class ExportedModel:
    """An exported ONNX program on the CPU.

    Args:
        path: `.onnx` file or folder of an export; in a folder, the float32 program is preferred to int8.
        is_isolated: runs the program in another process, with limits on its memory and time, because the
            file may be untrusted. False saves the copies of the images.

    Attributes:
        path: `.onnx` file.
        description: input, output and network of the program.

    Raises:
        InputError: there is no such file, `export` did not write it, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | PathLike[str], is_isolated: bool = True) -> None:
        self.path = find_program(Path(path))
        require("export", "onnxruntime", asked=f"model={path}")
        try:
            self._program: Program = (IsolatedProgram if is_isolated else OwnProgram)(
                self.path, torch.get_num_threads()
            )
        except Exception as error:  # ONNX Runtime raises many types for a damaged file
            reason = one_line(error)[:200]
            raise InputError(
                f"model={self.path}: damaged, or not an ONNX model ({reason})"
            ) from None
        text = self._program.description
        if text is None:
            raise InputError(
                f"model={self.path}: an ONNX model without the description that vgg_lit.export writes; "
                "export it with vgg_lit.export"
            )
        try:
            self.description = Description.from_json(text)
        except InputError as error:
            raise InputError(f"model={self.path}: {error}") from None

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Returns logits or probabilities (B, K), depending on `description.output`, of uint8 images.

        Raises:
            InputError: the program contradicts its description, or needs too much memory or time.
        """
        expected = (len(images_BCHW), len(self.description.classes))
        try:
            found_BK = self._program.run(
                images_BCHW.numpy(), expected, self.description.largest_side
            )
        except Exception as error:  # as above
            reason = one_line(error)[:200]
            raise InputError(f"model={self.path}: contradicts its description ({reason})") from None
        return torch.from_numpy(found_BK)

    def probabilities(self, images_BCHW: Tensor) -> Tensor:
        """Returns class probabilities (B, K) of uint8 images (B, C, H, W)."""
        found_BK = self(images_BCHW)
        return found_BK if self.description.output == PROBABILITIES else found_BK.softmax(dim=1)


def load_exported(file: Path) -> Predictor:
    """Loads an ONNX program for prediction; prints its path.

    Raises:
        InputError: as for `ExportedModel`.
    """
    model = ExportedModel(file)
    card = model.description
    print_facts({"model": str(model.path)})
    return Predictor(
        model.probabilities,
        card.classes,
        card.in_channels,
        card.source_size,
        card.fit,
        card.image_ranges,
    )


def find_program(path: Path) -> Path:
    """Returns an ONNX file, given as a file or as the folder of an export.

    Raises:
        InputError: there is no ONNX file at the path.
    """
    if path.is_dir():
        for name in (ONNX, ONNX_INT8):
            if (path / name).is_file():
                return path / name
        raise InputError(f"model={path}: the folder holds no {ONNX}; export it with formats=[onnx]")
    if not path.is_file():
        raise InputError(f"model={path}: there is no such file or folder")
    if path.suffix == ".pt2":
        # torch.export.load unpickles the content, which may come from an untrusted source.
        raise InputError(
            f"model={path}: a torch.export program may run code when it is loaded; "
            "allowed: an .onnx file or the folder of an export"
        )
    return path
