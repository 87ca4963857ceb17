"""The model card (README.md) of an export: contents, usage, metrics and measurements."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from vgg_lit.exporting.model import Description
from vgg_lit.system.markdown import markdown_block, markdown_text
from vgg_lit.tables import format_metric, markdown_table
from vgg_lit.value_types import Fit
from vgg_lit.version import __version__

FILE_DESCRIPTIONS = {
    "model.onnx": "ONNX program, float32, any batch size",
    "model_int8.onnx": "ONNX program with 8-bit weights and activations, for CPUs",
    "model.pt2": "`torch.export` program, float32, any batch size",
    "model.safetensors": "weights only, with the names of the network's `state_dict`",
    "model.json": "classes, input, output, preprocessing and network; also stored in each file above",
    "report.json": "measurements (see below)",
}
"""File of an export -> its content."""

READ_IMAGE = """\
def read_image(path, channels, side):
    image = ImageOps.exif_transpose(Image.open(path)).convert("L" if channels == 1 else "RGB")
    image = {to_square}
    return np.array(image).reshape(1, side, side, channels).transpose(0, 3, 1, 2)
"""

TO_SQUARE: dict[Fit, str] = {
    "crop": "ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)",
    "pad": "ImageOps.pad(image, (side, side), Image.Resampling.BILINEAR)",
    "stretch": "image.resize((side, side), Image.Resampling.BILINEAR)",
}
"""The call of Pillow that makes an image square."""

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
net.eval()  # needs normalised images, see "preprocessing" in model.json
"""


@dataclass(frozen=True)
class ModelCard:
    """The content of a model card.

    Attributes:
        network: name of the network.
        data: name of the training data.
        origin: checkpoint and run, as Markdown.
        description: description of the programs.
        files: names of the exported files.
        metrics: final metrics of the run, by name; accuracies are fractions.
        metrics_of_weights: True if the metrics are of the exported weights, not of another checkpoint.
        measurements: rows of the table of differences and latencies.
        remarks: sentences below that table.
        config: settings of the run that determine the network and its training, as YAML.
        license: licence of the weights; None if not stated.
    """

    network: str
    data: str
    origin: str
    description: Description
    files: Collection[str]
    metrics: Mapping[str, float]
    metrics_of_weights: bool
    measurements: Sequence[Mapping[str, str]]
    remarks: Sequence[str]
    config: str
    license: str | None

    def to_markdown(self) -> str:
        """Formats the card as Markdown with the front matter that model hubs read."""
        what, data = self.description, markdown_text(self.data)
        measured = "these weights" if self.metrics_of_weights else "another checkpoint of it"
        side, kind = what.source_size, "grey" if what.in_channels == 1 else "colour"
        sections = [
            self._front_matter(),
            f"# {markdown_text(self.network)}, trained on {data}\n",
            f"Classifies {kind} images of {side} x {side} pixels into {len(what.classes)} classes: "
            f"{', '.join(map(markdown_text, what.classes))}.\n",
            f"Exported with vgg_lit {__version__} from {self.origin}.\n",
            "## Files\n",
            markdown_table(
                [
                    {"file": f"`{name}`", "content": content}
                    for name, content in FILE_DESCRIPTIONS.items()
                    if name in self.files
                ],
                is_markup=True,
            ),
            "## Usage\n",
            f"Each program takes `images`, a uint8 tensor of shape (batch, {what.in_channels}, {side}, "
            f"{side}), and returns `{what.output}`, a float32 tensor of shape (batch, "
            f"{len(what.classes)}). Padding, resizing and normalisation are part of the program. The "
            "programs run without vgg_lit.\n",
            *self._examples(),
            "## Metrics\n",
            f"Final metrics of the run, measured with {measured}. Test images were not used for the "
            "selection of its checkpoints.\n"
            if self.metrics
            else "The run is not finished and has no final metrics.\n",
            markdown_table(
                [
                    {"metric": name, "value": format_metric(name, value)}
                    for name, value in self.metrics.items()
                ]
            )
            if self.metrics
            else "",
            "## Difference from PyTorch and latency\n",
            markdown_table(self.measurements),
            "\n".join(self.remarks) + "\n",
            "## Data\n",
            f"Trained on {data}, which has separate terms of use. Images are normalised with the "
            f"statistics of the training images: mean {_rounded(what.preprocessing['subtract_mean'])}, "
            f"standard deviation {_rounded(what.preprocessing['divide_by_std'])}, for pixels in 0..1.\n",
            "## Config\n",
            markdown_block(self.config, "yaml"),
            "## Licence\n",
            f"Licence of the weights: {markdown_text(self.license)}.\n"
            if self.license
            else "The licence of the weights is not stated; ask the author of the model.\n",
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
        """Returns an example script for each type of exported file."""
        read_image = READ_IMAGE.format(to_square=TO_SQUARE[self.description.fit])
        onnx = next((name for name in ("model.onnx", "model_int8.onnx") if name in self.files), "")
        examples = {
            onnx: ("ONNX Runtime", WITH_ONNX.format(read_image=read_image, file=onnx)),
            "model.pt2": ("PyTorch", WITH_TORCH.format(read_image=read_image)),
        }
        shown = [
            f"With {runtime}; the script prints the class of each image file in its arguments:\n\n"
            f"```python\n{script}```\n"
            for name, (runtime, script) in examples.items()
            if name in self.files
        ]
        if "model.safetensors" in self.files and self._is_ours():
            shown += [
                "Load the weights for further training (needs vgg_lit):\n",
                f"```python\n{WITH_WEIGHTS}```\n",
            ]
        return shown

    def _is_ours(self) -> bool:
        return self.description.network.get("_target_") == "vgg_lit.models.build"


def _rounded(values: Sequence[float]) -> str:
    """Formats the values of the channels for reading; `model.json` has all digits."""
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
