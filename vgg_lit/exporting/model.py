"""An exported model: what a user of it has to know, and running one through ONNX Runtime.

    model = ExportedModel("logs/runs/.../export")        # or the .onnx file itself
    probabilities_BK = model.probabilities(images_BCHW)  # uint8, of side model.description.source_size

The description travels in every file of an export and beside them as `model.json`, so that a file needs
nothing else. Shape suffixes: B images, C channels, H x W pixels, K classes.
"""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgg_lit.errors import InputError, one_line
from vgg_lit.system.extras import require
from vgg_lit.value_types import MAX_SIDE

SCHEMA = 1
"""Version of the description's layout; raised when an older reader would misread it."""

METADATA = "vgg_lit"
"""The name under which the description stands in the metadata of a file."""

IMAGES, LOGITS, PROBABILITIES = "images", "logits", "probabilities"
"""Names of a program's input, and of what it gives."""

ONNX, ONNX_INT8 = "model.onnx", "model_int8.onnx"


@dataclass(frozen=True)
class Description:
    """What goes into a program and what comes out.

    Attributes:
        classes: names, in the order of the outputs.
        in_channels: 1 for grey, 3 for colour (RGB).
        source_size: side of the images that go in, pixels.
        output: "logits" or "probabilities".
        preprocessing: what the program does with pixels first, for those who take the weights alone.
        network: `_target_` and arguments of the network, as in `conf/model`.
    """

    classes: tuple[str, ...]
    in_channels: int
    source_size: int
    output: str
    preprocessing: dict[str, Any]
    network: dict[str, Any]

    def to_json(self) -> str:
        """As JSON that explains itself."""
        side = self.source_size
        content = {
            "schema": SCHEMA,
            "input": {
                "name": IMAGES,
                "dtype": "uint8",
                "shape": ["batch", self.in_channels, side, side],
                "channels": "grey" if self.in_channels == 1 else "RGB",
                "from_a_file": "EXIF orientation applied, converted to these channels, the shorter "
                f"side resized to {side} pixels (bilinear, antialiased), the centre kept",
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
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """The inverse of `to_json`.

        Raises:
            InputError: the text is no such description; it may come from a stranger's file.
        """
        try:
            content = json.loads(text)
            schema, classes = content["schema"], content["classes"]
            _, channels, height, width = content["input"]["shape"]
            output = content["output"]["name"]
            is_sound = (
                isinstance(channels, int)
                and channels >= 1
                and height == width
                and isinstance(height, int)
                and 1 <= height <= MAX_SIDE
                and output in (LOGITS, PROBABILITIES)
                and bool(classes)
                and all(isinstance(name, str) for name in classes)
            )
            made = cls(
                tuple(classes),
                channels,
                height,
                output,
                content["preprocessing"],
                content["network"],
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
    """A program of an export, on the CPU.

    Args:
        path: an `.onnx` file, or the folder of an export; of its two, the one in float32 is taken.

    Attributes:
        path: the file.
        description: what goes in and comes out.

    Raises:
        InputError: there is no such file, it is none that we exported, or ONNX Runtime is not installed.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = find_program(Path(path))
        require("export", "onnxruntime", asked=f"model={path}")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # threads that wait without sleeping would take time from whoever computes in between
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises many kinds for a file it cannot read
            reason = one_line(error)[:200]
            raise InputError(f"model={self.path}: is damaged or no ONNX model ({reason})") from None
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        if text is None:
            raise InputError(
                f"model={self.path}: is an ONNX model, but none that vgg_lit.export wrote: it has no "
                "description of its classes and input"
            )
        try:
            self.description = Description.from_json(text)
        except InputError as error:
            raise InputError(f"model={self.path}: {error}") from None

    def __call__(self, images_BCHW: Tensor) -> Tensor:
        """Logits or probabilities (B, K), as the description says, of uint8 images.

        Raises:
            InputError: the program does not take or give what its description says.
        """
        expected = (len(images_BCHW), len(self.description.classes))
        try:
            (found_BK,) = self._session.run(None, {IMAGES: images_BCHW.numpy()})
            reason = f"gives {found_BK.shape} in place of {expected}"
        except Exception as error:  # as above
            found_BK, reason = None, one_line(error)[:200]
        if found_BK is None or found_BK.shape != expected:
            raise InputError(f"model={self.path}: is not what its description says ({reason})")
        return torch.from_numpy(found_BK)

    def probabilities(self, images_BCHW: Tensor) -> Tensor:
        """Class probabilities (B, K) of uint8 images (B, C, H, W)."""
        found_BK = self(images_BCHW)
        return found_BK if self.description.output == PROBABILITIES else found_BK.softmax(dim=1)


def find_program(path: Path) -> Path:
    """The ONNX file that a path names: itself, or the one in an export's folder.

    Raises:
        InputError: there is none.
    """
    if path.is_dir():
        for name in (ONNX, ONNX_INT8):
            if (path / name).is_file():
                return path / name
        raise InputError(f"model={path}: the folder holds no {ONNX}; export it with formats=[onnx]")
    if not path.is_file():
        raise InputError(f"model={path}: there is no such file or folder")
    if path.suffix == ".pt2":
        # torch.export.load unpickles what such a file holds, and files may come from strangers.
        raise InputError(
            f"model={path}: a torch.export program may run code when it is loaded; "
            "allowed: an .onnx file or the folder of an export"
        )
    return path
