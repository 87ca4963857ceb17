"""The network that a checkpoint describes and its weights, checked before room is made for them.

    checkpoint = read_trained("logs/runs/.../checkpoints/best.ckpt")

A file may come from a stranger: it names a network and nothing else that is run, and its weights are all
in it, so that loading it takes no more memory than it has bytes.
"""

from collections.abc import Mapping
from os import PathLike, stat
from typing import Any

import torch
from torch import Tensor, nn

from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.errors import InputError, one_line
from vgg_lit.system.weightless import weightless
from vgg_lit.targets import NETWORKS, instantiate
from vgg_lit.value_types import check_preprocessing

DOWNLOADS = ("weights", "weights_backbone", "pretrained")
"""Arguments for which a network of torchvision's would ask a server; a checkpoint brings its own weights."""

LARGEST_MAP = 2**30
"""Bytes that a layer may make of one image: 64 channels of the largest images there are."""


def read_trained(path: str | PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """The content of a checkpoint of ours that holds a network and all its weights.

    Raises:
        InputError: as for `read_checkpoint`; a part is missing, the network is none that a checkpoint may
            name, its weights are not its own, or it does not take the images or know the classes.
    """
    checkpoint = read_checkpoint(path, map_location)
    try:
        hyperparameters = _mapping(checkpoint, "hyper_parameters")
        model = dict(_mapping(hyperparameters, "model"))
        if str(model.get("_target_")).startswith("torchvision."):
            model = {name: value for name, value in model.items() if name not in DOWNLOADS}
        state = _mapping(checkpoint, "state_dict")
        weights = net_weights(state)
        _check_sizes(weights, stat(path).st_size)
        net = _filled(model, weights)
        if sum(buffer.nbytes for buffer in net.buffers()) > stat(path).st_size:
            raise InputError("is smaller than what its network keeps beside its weights")
        _check_input(net, hyperparameters)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return {**checkpoint, "hyper_parameters": {**hyperparameters, "model": model}}


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, Mapping) or not all(isinstance(key, str) for key in part):
        raise InputError(f"holds no {name}, so it is no trained network of vgg_lit")
    return part


def _check_sizes(weights: Mapping[str, Any], size: int) -> None:
    """Whether the weights are tensors with all their values in a file of so many bytes.

    One value can be spread out to any shape, and would take room once it is copied into a network.
    """
    for name, weight in weights.items():
        if not isinstance(weight, Tensor) or weight.layout != torch.strided:
            raise InputError(f"net.{name} is no tensor of weights")
    if sum(weight.numel() * weight.element_size() for weight in weights.values()) > size:
        raise InputError("is smaller than the weights it claims to hold")


def _filled(model: Mapping[str, Any], weights: Mapping[str, Tensor]) -> nn.Module:
    """The network on the meta device, which these weights fit."""
    try:
        with weightless():
            net = instantiate(model, key="model", prefixes=NETWORKS)
        check_fit(net, weights)
    except InputError:
        raise
    except Exception as error:  # what a network makes of values that were not meant for it
        raise InputError(f"weights do not fit the network: {one_line(error)[:300]}") from error
    return net


def net_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the network among the state of a classifier, by the names they have in it."""
    return {name[4:]: weight for name, weight in state.items() if name.startswith("net.")}


def check_fit(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Whether a network on the meta device takes weights; it then has their dtypes.

    Raises:
        InputError: a name or a shape is another.
    """
    try:
        net.load_state_dict({name: w.to("meta") for name, w in weights.items()}, assign=True)
    except RuntimeError as error:
        raise InputError(f"weights do not fit the network: {one_line(error)[:300]}") from error


def _check_input(net: nn.Module, hyperparameters: Mapping[str, Any]) -> None:
    """Whether the network takes the images and knows the classes; one from Python may say neither."""
    classes = hyperparameters.get("classes", ())
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise InputError("its classes are no list of names")
    if not hyperparameters.get("preprocessing"):
        return
    preprocessing = _mapping(hyperparameters, "preprocessing")
    check_preprocessing(preprocessing)
    channels, side = preprocessing["in_channels"], preprocessing["image_size"]
    try:
        image = torch.empty(1, channels, side, side, device="meta")
        with torch.inference_mode(), weightless(LARGEST_MAP):
            logits = net.eval()(image)
        fits = logits.shape == (1, len(classes))
    except Exception:  # another number of channels, another side
        fits = False
    if not fits:
        raise InputError(
            f"its network does not make {len(classes)} classes of images of "
            f"{channels} x {side} x {side}"
        )
