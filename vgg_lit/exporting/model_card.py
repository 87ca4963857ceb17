"""The README.md of an exported model: what it is, how good, how to use it without this package."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vgg_lit.exporting.model import Description
from vgg_lit.tables import format_metric, markdown_table
from vgg_lit.version import __version__

FILE_DESCRIPTIONS = {
    "model.onnx": "the program in ONNX, float32, for batches of any size",
    "model_int8.onnx": "the same with weights and activations in 8 bits, for CPUs",
    "model.pt2": "the program of `torch.export`, float32, for batches of any size",
    "model.safetensors": "the weights alone, by the names of the network's `state_dict`",
    "model.json": "classes, input, output, preprocessing and network; every file has it inside too",
    "report.json": "the measurements below",
}
"""What an export may hold besides the card."""

READ_IMAGE = """\
def read_image(path, channels, side):
    image = ImageOps.exif_transpose(Image.open(path)).convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return np.array(image).reshape(1, side, side, channels).transpose(0, 3, 1, 2)
"""

WITH_ONNX = """\
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


{read_image}

session = onnxruntime.InferenceSession("{file}")
model = json.loads(session.get_modelmeta().custom_metadata_map["vgg_lit"])
_, channels, side, _ = model["input"]["shape"]
for path in sys.argv[1:]:
    (output,) = session.run(None, {{"images": read_image(path, channels, side)}})
    print(path, model["classes"][output[0].argmax()])
"""

WITH_TORCH = """\
import json
import sys

import numpy as np
import torch
from PIL import Image, ImageOps


{read_image}

inside = {{"vgg_lit.json": ""}}
network = torch.export.load("model.pt2", extra_files=inside).module()
model = json.loads(inside["vgg_lit.json"])
_, channels, side, _ = model["input"]["shape"]
for path in sys.argv[1:]:
    output = network(torch.from_numpy(read_image(path, channels, side)))
    print(path, model["classes"][output[0].argmax()])
"""

WITH_WEIGHTS = """\
import json

from safetensors import safe_open
from safetensors.torch import load_file
from vgg_lit.models import build

with safe_open("model.safetensors", "pt") as file:
    network = json.loads(file.metadata()["vgg_lit"])["network"]
net = build(**{name: value for name, value in network.items() if name != "_target_"})
net.load_state_dict(load_file("model.safetensors"))
net.eval()  # takes normalised images: "preprocessing" in model.json
"""


@dataclass(frozen=True)
class ModelCard:
    """What the card of one export says.

    Attributes:
        network: its name.
        data: the name of what it was trained on.
        origin: which checkpoint of which run it is.
        description: of the programs.
        files: names of those in the export.
        metrics: of the run's best checkpoint, by name; accuracies are fractions.
        measurements: rows of the table of parity and latency.
        remarks: under that table.
        config: the run's settings that shaped the network, as YAML.
        license: of the weights; None if nobody has said.
    """

    network: str
    data: str
    origin: str
    description: Description
    files: Collection[str]
    metrics: Mapping[str, float]
    measurements: Sequence[Mapping[str, str]]
    remarks: Sequence[str]
    config: str
    license: str | None

    def to_markdown(self) -> str:
        """The whole file, with the head that model hubs read."""
        what = self.description
        side, kind = what.source_size, "grey" if what.in_channels == 1 else "colour"
        sections = [
            self._front_matter(),
            f"# {self.network}, trained on {self.data}\n",
            f"Tells {len(what.classes)} classes apart on {kind} images of {side} x {side} pixels: "
            f"{', '.join(what.classes)}. Exported by vgg_lit {__version__} from {self.origin}.\n",
            "## Files\n",
            markdown_table(
                [
                    {"file": f"`{name}`", "holds": holds}
                    for name, holds in FILE_DESCRIPTIONS.items()
                    if name in self.files
                ]
            ),
            "## How to use it\n",
            f"The programs take `images`, uint8 of shape (batch, {what.in_channels}, {side}, {side}), "
            f"and give `{what.output}`, float32 of shape (batch, {len(what.classes)}): padding or "
            "resizing and normalisation are inside. None of this needs vgg_lit:\n",
            *self._examples(),
            "## Metrics\n",
            "Of the run's best checkpoint, as training ended; the test images chose nothing.\n"
            if self.metrics
            else "The run is not finished: none.\n",
            markdown_table(
                [
                    {"metric": name, "value": format_metric(name, value)}
                    for name, value in self.metrics.items()
                ]
            )
            if self.metrics
            else "",
            "## Parity and latency\n",
            markdown_table(self.measurements),
            "\n".join(self.remarks) + "\n",
            "## Data\n",
            f"{self.data}, under its own terms. Normalised by the statistics of its training images: "
            f"mean {what.preprocessing['subtract_mean']}, deviation "
            f"{what.preprocessing['divide_by_std']}, for pixels in 0..1.\n",
            "## Config\n",
            f"```yaml\n{self.config}```\n",
            "## Licence\n",
            f"Of the weights: {self.license}.\n"
            if self.license
            else "Of the weights: not stated; ask whoever trained them.\n",
        ]
        return "\n".join(section for section in sections if section)

    def _front_matter(self) -> str:
        license = [f"license: {json.dumps(self.license)}"] if self.license else []
        task = "image-classification"
        lines = [
            *license,
            f"pipeline_tag: {task}",
            f"tags: [vgg, {task}, pytorch]",
            "metrics: [accuracy]",
        ]
        return "\n".join(["---", *lines, "---", ""])

    def _examples(self) -> list[str]:
        """A script for each kind of file there is."""
        onnx = next((name for name in ("model.onnx", "model_int8.onnx") if name in self.files), "")
        examples = {
            onnx: WITH_ONNX.format(read_image=READ_IMAGE, file=onnx),
            "model.pt2": WITH_TORCH.format(read_image=READ_IMAGE),
        }
        shown = [f"```python\n{text}```\n" for name, text in examples.items() if name in self.files]
        if "model.safetensors" in self.files and self._is_ours():
            shown += ["The weights, to train on from them:\n", f"```python\n{WITH_WEIGHTS}```\n"]
        return shown

    def _is_ours(self) -> bool:
        return self.description.network.get("_target_") == "vgg_lit.models.build"
