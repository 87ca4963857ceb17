"""Reads weight files of other projects without executing their code.

    content, metadata = read_file(Path("ckpt.pth"))    # a mapping; metadata: only in safetensors

A pickle may contain tensors, plain values, and two kinds of objects that projects often store beside the
weights: numpy values and `argparse.Namespace`. They are replaced by an empty object, so that neither
numpy nor argparse is called. Anything else is refused.
"""

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgg_lit.checkpoints.pickles import check_pickle, why_refused
from vgg_lit.checkpoints.storage import check_archive, check_content
from vgg_lit.errors import InputError, one_line

SAVE_WEIGHTS = "save the weights alone: torch.save(model.state_dict(), file)"

LEGACY_PICKLES = 5
"""Pickles at the start of a file in the format of torch < 1.6: magic, version, system, object, keys."""


class Ignored:
    """Replacement of an object that is not needed; it takes any arguments and keeps none."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "Ignored":
        """Drops the arguments."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Drops the state."""


IGNORED = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
)
"""Objects and functions in a pickle that are replaced by `Ignored`."""


def read_file(path: Path, device: str = "cpu") -> tuple[Any, Mapping[str, str]]:
    """Reads a `.safetensors` file or a file of `torch.save`.

    Args:
        path: file.
        device: device of the tensors.

    Returns:
        The content, and the metadata of a safetensors file.

    Raises:
        InputError: the file is damaged, contains other objects, or needs more memory than it has bytes.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path, device)
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        else:
            _check_pickles(path)
        with torch.serialization.safe_globals([(Ignored, name) for name in IGNORED]):
            content = torch.load(path, map_location=device, weights_only=True)
        check_content(content, path.stat().st_size)
        return content, {}
    except Exception as error:  # torch raises many types for a damaged or malicious file
        if refused := why_refused(error):
            raise InputError(f"{path}: {refused}; {SAVE_WEIGHTS}") from error
        raise InputError(
            f"{path}: damaged, or not a file of weights: {one_line(error)[:200]}; {SAVE_WEIGHTS}"
        ) from error


def check_weight_sizes(weights: Mapping[str, Tensor], path: Path) -> None:
    """Checks that the weights are dense tensors, and not larger than the file.

    One stored value can be expanded to any shape, and would need that memory in a network.

    Raises:
        InputError: a tensor is sparse or quantised, or the file is smaller than its weights.
    """
    for name, weight in weights.items():
        if weight.layout != torch.strided or weight.is_quantized:
            raise InputError(f"{path}: {name} is sparse or quantised; save it as a dense tensor")
    if sum(w.numel() * w.element_size() for w in weights.values()) > path.stat().st_size:
        raise InputError(f"{path}: is smaller than its weights")


def _read_safetensors(path: Path, device: str) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name).to(device) for name in file.keys()}  # noqa: SIM118
            return weights, file.metadata() or {}
    except Exception as error:
        raise InputError(
            f"{path}: damaged, or not a safetensors file: {one_line(error)[:200]}"
        ) from error


def _check_pickles(path: Path) -> None:
    """Checks that a file in torch's old format allocates no empty memory, which can be of any size."""
    with path.open("rb") as file:
        for _ in range(LEGACY_PICKLES):
            check_pickle(pickletools.genops(file))
