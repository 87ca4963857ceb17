"""Checkpoints as safetensors files: weights, hyperparameters and nothing to resume with.

    write_portable(read_trained("last.ckpt"), Path("last.safetensors"), torch.float16)
    checkpoint = read_portable(Path("last.safetensors"))

The weights have the names of the network's state dict. The metadata entry `checkpoint` holds the other
parts as JSON.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgg_lit.errors import InputError, one_line
from vgg_lit.system.files import replacing
from vgg_lit.system.small_files import parse_json

if TYPE_CHECKING:
    import torch

PARTS = ("hyper_parameters", "vgg_lit", "epoch", "global_step")
"""The parts of a checkpoint in the metadata."""

SUFFIX = ".safetensors"


def write_portable(checkpoint: Mapping[str, Any], path: Path, dtype: "torch.dtype") -> None:
    """Writes the weights of a checkpoint, with floating-point numbers in `dtype`."""
    from safetensors.torch import save

    # the format has no channels-last order
    weights = {
        name.removeprefix("net."): (
            tensor.to(dtype) if tensor.is_floating_point() else tensor
        ).contiguous()
        for name, tensor in checkpoint["state_dict"].items()
    }
    parts = {part: checkpoint[part] for part in PARTS}
    with replacing(path) as temporary:
        # `save_file` would create a file that only its user can read
        temporary.write_bytes(save(weights, {"format": "pt", "checkpoint": json.dumps(parts)}))


def read_portable(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads the file as a checkpoint, with floating-point numbers in float32.

    Raises:
        InputError: the file is damaged, or `write_portable` did not write it.
    """
    import torch
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            weights = {
                f"net.{name}": file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118  # it is not a dict
            }
            parts = parse_json((file.metadata() or {})["checkpoint"])
        state = {
            name: tensor.to(map_location, torch.float32 if tensor.is_floating_point() else None)
            for name, tensor in weights.items()
        }
        return {**{part: parts[part] for part in PARTS}, "state_dict": state}
    except Exception as error:  # safetensors and json raise many types
        raise InputError(
            f"{path}: is damaged or not a checkpoint of vgg_lit ({one_line(error)[:200]})"
        ) from error
