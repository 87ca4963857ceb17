"""Programs and weights of a trained network that run without vgg_lit, in ONNX and `torch.export`.

    module = PixelClassifier(fold_batch_norm(net), preprocessing, softmax=False)
    program = to_program(module, description)          # torch.export, any batch size
    write_onnx(program, Path("model.onnx"), description)

Shape suffixes: B images, C channels, H x W pixels, K classes, S x S source pixels, T x T network input.
"""

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vgg_lit.data.image_ranges import ImageRanges
from vgg_lit.data.preprocessing import Preprocessing, scale_and_bias
from vgg_lit.errors import InputError, one_line
from vgg_lit.exporting.model import (
    IMAGES,
    LOGITS,
    METADATA,
    ONNX,
    ONNX_INT8,
    PROBABILITIES,
    Description,
)

OPSET = 18
"""ONNX operator set: the native one of torch's exporter, supported by runtimes since 2023."""


class PixelClassifier(nn.Module):
    """A network with its preprocessing, in operations that every runtime supports.

    Takes uint8 images (B, C, S, S) in the size of the source; returns float32 (B, K).

    Args:
        net: network that returns logits of normalised images; it is set to evaluation mode.
        preprocessing: preprocessing of the training.
        softmax: True returns probabilities instead of logits.
    """

    scale_C11: Tensor
    bias_C11: Tensor
    resize_TS: Tensor | None

    def __init__(self, net: nn.Module, preprocessing: Preprocessing, softmax: bool = False) -> None:
        super().__init__()
        self.net = net
        self.margins = preprocessing.margins
        self.softmax = softmax
        device = torch.device("cpu")
        scale_C11, bias_C11 = scale_and_bias(preprocessing.mean, preprocessing.std, device)
        self.register_buffer("scale_C11", scale_C11)
        self.register_buffer("bias_C11", bias_C11)
        resize_TS = _resizing_matrix(preprocessing) if preprocessing.resizes else None
        self.register_buffer("resize_TS", resize_TS)
        self.eval()

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Returns logits or probabilities (B, K) of uint8 images."""
        x_BCHW = (
            F.pad(images_BCHW.float(), self.margins) if any(self.margins) else images_BCHW.float()
        )
        if self.resize_TS is not None:
            x_BCHW = self.resize_TS @ x_BCHW @ self.resize_TS.T
        logits_BK = self.net(x_BCHW * self.scale_C11 + self.bias_C11)
        return logits_BK.softmax(dim=1) if self.softmax else logits_BK


def _resizing_matrix(preprocessing: Preprocessing) -> Tensor:
    """Returns the (T, S) matrix that resizes one side; resizing is a matrix product with each side.

    Runtimes implement antialiasing differently, but compute the same matrix products.
    """
    basis_11SS = torch.eye(preprocessing.source_size)[None, None]
    size = (preprocessing.source_size, preprocessing.image_size)
    rows_11ST = F.interpolate(basis_11SS, size, mode="bilinear", antialias=True)
    return rows_11ST[0, 0].T.contiguous()


def describe_network(
    hyperparameters: Mapping[str, Any],
    preprocessing: Preprocessing,
    softmax: bool,
    image_ranges: ImageRanges | None = None,
) -> Description:
    """Returns the description of a `PixelClassifier`.

    Args:
        hyperparameters: hyperparameters of the classifier, from the checkpoint.
        preprocessing: preprocessing of the network.
        softmax: True if the program returns probabilities.
        image_ranges: pixel statistics of the training images; None: not known.
    """
    return Description(
        classes=tuple(hyperparameters["classes"]),
        in_channels=preprocessing.in_channels,
        source_size=preprocessing.source_size,
        fit=preprocessing.fit,
        output=PROBABILITIES if softmax else LOGITS,
        preprocessing={
            "where": "part of the programs; apply it before a network that uses only the weights",
            "zeros_left_right_above_below": list(preprocessing.margins),
            "resize_to": preprocessing.image_size if preprocessing.resizes else None,
            "divide_by": 255,
            "subtract_mean": list(preprocessing.mean),
            "divide_by_std": list(preprocessing.std),
        },
        network=dict(hyperparameters["model"]),
        image_ranges=image_ranges,
    )


def write_programs(
    module: PixelClassifier,
    description: Description,
    files: Mapping[str, Path],
    calibration: Iterable[Tensor],
) -> None:
    """Writes the requested ones of `model.pt2`, `model.onnx` and `model_int8.onnx`.

    Args:
        module: network with its preprocessing.
        description: description of the module.
        files: path of each requested file, by name.
        calibration: uint8 images (B, C, S, S) to calibrate the 8-bit program.

    Raises:
        InputError: torch.export or ONNX does not support the network.
    """
    if not {"model.pt2", ONNX, ONNX_INT8} & set(files):
        return
    program = to_program(module, description)
    if "model.pt2" in files:
        write_torch_export(program, files["model.pt2"], description)
    if ONNX in files:
        write_onnx(program, files[ONNX], description)
    if ONNX_INT8 in files:
        with TemporaryDirectory() as folder:
            source = files.get(ONNX, Path(folder) / ONNX)
            if ONNX not in files:
                write_onnx(program, source, description)
            write_int8(source, files[ONNX_INT8], calibration, description)


def to_program(module: PixelClassifier, description: Description) -> ExportedProgram:
    """Exports a module with torch.export, for any batch size.

    Raises:
        InputError: torch.export cannot trace the network.
    """
    # two images, because torch.export fixes a dimension of size one
    side = description.source_size
    images_BCHW = torch.zeros(2, description.in_channels, side, side, dtype=torch.uint8)
    try:
        return torch.export.export(
            module, (images_BCHW,), dynamic_shapes=({0: Dim("batch")},), strict=False
        )
    except Exception as error:  # torch.export raises many types
        reason = one_line(error)[:300]
        raise InputError(
            f"model: torch.export cannot trace {type(module.net).__name__} ({reason})"
        ) from error


def write_torch_export(program: ExportedProgram, path: Path, description: Description) -> None:
    """Writes a program for `torch.export.load`, with its description in an extra file."""
    buffer = io.BytesIO()  # torch ends the process if the disk is full
    with _quiet():
        torch.export.save(program, buffer, extra_files={f"{METADATA}.json": description.to_json()})
    path.write_bytes(buffer.getbuffer())


def write_onnx(program: ExportedProgram, path: Path, description: Description) -> None:
    """Writes a program in ONNX, with its description in the metadata.

    Raises:
        InputError: ONNX does not support an operation of the network.
    """
    try:
        with _quiet():
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=[IMAGES],
                output_names=[description.output],
                verbose=False,
            )
    except Exception as error:  # torch.onnx raises many types
        reason = one_line(error)[:300]
        raise InputError(f"formats=[onnx]: ONNX does not support the network ({reason})") from error
    assert exported is not None
    exported.model.metadata_props[METADATA] = description.to_json()
    exported.save(path, external_data=False)


def write_int8(
    source: Path, path: Path, batches: Iterable[Tensor], description: Description
) -> None:
    """Writes an ONNX program with 8-bit weights and activations.

    Weights have one scale per channel; activation ranges are measured on the calibration images.

    Args:
        source: file of the float32 program.
        path: output file.
        batches: uint8 images (B, C, S, S) for the calibration.
        description: description of the program.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with _quiet():
        quantize_static(
            source,
            path,
            _Calibration(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA: description.to_json()})
    onnx.save(model, path)


class _Calibration:
    """Batches in the interface of ONNX Runtime's quantisation."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {IMAGES: batch.numpy()}


def write_safetensors(net: nn.Module, path: Path, description: Description) -> None:
    """Writes a network's weights under the names of its `state_dict`, with the description in the header."""
    from safetensors.torch import save

    # the format has no channels-last order
    weights = {name: weight.contiguous() for name, weight in net.state_dict().items()}
    # `save_file` would create a file that only its user can read
    path.write_bytes(save(weights, {"format": "pt", METADATA: description.to_json()}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides warnings and log messages of exporters; errors are raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
