"""Reads the network and the weights of a checkpoint, and checks them before memory is allocated.

    checkpoint = read_trained("logs/runs/.../checkpoints/best.ckpt")

A file may be untrusted: the only code that it can name is a network, and it has to contain all weights,
so that loading it needs no more memory than it has bytes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, stat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgg_lit.checkpoints.portable import SUFFIX
from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.errors import ConfigError, InputError, one_line
from vgg_lit.system.weightless import build_without_weights, needs_values, weightless
from vgg_lit.targets import NETWORKS
from vgg_lit.value_types import check_preprocessing

DOWNLOADS = ("weights", "weights_backbone", "pretrained")
"""Arguments that make a torchvision network download weights; a checkpoint contains its weights."""

LARGEST_MAP = 2**30
"""Limit on the bytes of a layer's output for one image: 64 channels of the largest supported images."""


def read_trained(path: str | PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Reads a checkpoint of vgg_lit that has to contain a network and all its weights.

    Raises:
        InputError: as for `read_checkpoint`; a part is missing, the network is not allowed in a
            checkpoint, the weights do not fit it, or it does not fit the images or the classes.
    """
    checkpoint = read_checkpoint(path, map_location)
    try:
        hyperparameters = _mapping(checkpoint, "hyper_parameters")
        model = dict(_mapping(hyperparameters, "model"))
        if str(model.get("_target_")).startswith("torchvision."):
            model = {name: value for name, value in model.items() if name not in DOWNLOADS}
        state = _mapping(checkpoint, "state_dict")
        weights = net_weights(state)
        # half precision is read as float32
        size = stat(path).st_size * (2 if Path(path).suffix == SUFFIX else 1)
        _check_sizes(weights, size)
        net = _filled(model, weights)
        if sum(buffer.nbytes for buffer in net.buffers()) > size:
            raise InputError("is smaller than the buffers of its network")
        _check_input(net, hyperparameters)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return {**checkpoint, "hyper_parameters": {**hyperparameters, "model": model}}


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping) or not all(isinstance(key, str) for key in part):
        raise InputError(f"holds no {name}, so it is not a trained network of vgg_lit")
    return part


def _check_sizes(weights: Mapping[str, Any], size: int) -> None:
    """Checks that the weights are tensors whose values fit into a file of `size` bytes.

    One stored value can be expanded to any shape, and would need that memory in a network.
    """
    for name, weight in weights.items():
        if not isinstance(weight, Tensor) or weight.layout != torch.strided:
            raise InputError(f"net.{name} is not a tensor of weights")
    if sum(weight.numel() * weight.element_size() for weight in weights.values()) > size:
        raise InputError("is smaller than its weights")


def _filled(model: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """Builds the network on the meta device and checks that the weights fit it."""
    try:
        net: nn.Module = build_without_weights(model, NETWORKS)
        check_fit(net, weights)
    except InputError:
        raise
    except Exception as error:  # a network may raise anything for unsuitable values
        raise InputError(f"weights do not fit the network: {one_line(error)[:300]}") from error
    return net


def net_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the network's tensors in a classifier's state dict, by their names in the network."""
    return {name[4:]: weight for name, weight in state.items() if name.startswith("net.")}


def check_fit(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Checks that weights fit a network on the meta device; the network then has their dtypes.

    Raises:
        InputError: a name, a shape or the kind of numbers differs.
    """
    own = net.state_dict()
    for name in own.keys() & weights.keys():
        if _kind(weights[name]) != _kind(own[name]):
            found, fitting = (
                str(w.dtype).removeprefix("torch.") for w in (weights[name], own[name])
            )
            raise InputError(f"weights do not fit the network: {name} is {found}, not {fitting}")
    try:
        net.load_state_dict({name: w.to("meta") for name, w in weights.items()}, assign=True)
    except RuntimeError as error:
        raise InputError(f"weights do not fit the network: {one_line(error)[:300]}") from error


def _kind(weight: Tensor) -> tuple[bool, bool, bool]:
    """Returns the kind of numbers of a weight, which `load_state_dict` would convert."""
    return weight.is_floating_point(), weight.is_complex(), weight.dtype == torch.bool


def _check_input(net: nn.Module, hyperparameters: Mapping[str, Any]) -> None:
    """Checks the network's input and number of classes; a checkpoint from Python may have neither."""
    classes = hyperparameters.get("classes", ())
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise InputError("its classes are not a list of names")
    if not hyperparameters.get("preprocessing"):
        return
    preprocessing = _mapping(hyperparameters, "preprocessing")
    model = _mapping(hyperparameters, "model")
    check_preprocessing(preprocessing)
    channels, side = preprocessing["in_channels"], preprocessing["image_size"]
    try:
        image = torch.empty(1, channels, side, side, device="meta")
        with torch.inference_mode(), weightless(LARGEST_MAP):
            logits = net.eval()(image)
        fits = logits.shape == (1, len(classes))
    except Exception as error:  # another number of channels or another side
        if needs_values(error, model):
            return
        fits = False
    if not fits:
        raise InputError(
            f"its network does not map images of {channels} x {side} x {side} "
            f"to {len(classes)} classes"
        )


@contextmanager
def fitting(checkpoint_path: str | PathLike[str]) -> Iterator[None]:
    """Converts torch's error about weights that do not fit to one line; names the file in all errors."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{checkpoint_path}: {error}") from None
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{checkpoint_path}: weights do not fit the network: {reason}") from error


def check_plain(hparams: Mapping[str, Any]) -> None:
    """Raises ConfigError for hyperparameters that `weights_only=True` could not load."""
    for name, value in hparams.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise ConfigError(f"{name}: only plain Python values are allowed ({error})") from error
