"""Loads trained networks from the sources that `init.from` accepts.

    trained_network("logs/runs/vgg11/2026-01-31_12-00-00_1f3a", model)  # a run's best checkpoint
    trained_network("best.ckpt", model)                                 # a checkpoint of vgg_lit
    trained_network("vgg16_bn-6c64b313.pth", model)                     # a state dict of torchvision
    trained_network("torchvision", model)                               # torchvision's published weights

Files are loaded with `weights_only=True`, so that no code in them is executed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgg_lit.checkpoints.folder import FOLDER, find_checkpoint
from vgg_lit.checkpoints.storage import read_checkpoint
from vgg_lit.checkpoints.weights import read_trained
from vgg_lit.errors import InputError, one_line
from vgg_lit.models import VARIANTS, VGG, build
from vgg_lit.models.layers import weighted_layers
from vgg_lit.models.variants import network_name
from vgg_lit.targets import instantiate

TORCHVISION = "torchvision"
COMPARISON = ("resnet18", "resnet50", "efficientnet_b0")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel in the training of torchvision's weights."""

CLASSES = 1000
"""The number of classes of torchvision's published weights."""


def trained_network(origin: str, model: Mapping[str, Any], device: str = "cpu") -> nn.Module:
    """Loads a trained network.

    Args:
        origin: a run directory (loads its best checkpoint), a `.ckpt` file of vgg_lit, a file with a
            state dict in torchvision's format, or "torchvision", which downloads the published weights
            for the network of `model` if they are not in the cache.
        model: `model` group of the network that receives the weights. A state dict does not name its
            network, so it is assumed to belong to the same variant at full width with the paper's head.
        device: device of the weights; "meta" checks the network without downloading weights.

    Raises:
        InputError: there is no such run or file, it is damaged, or its weights do not fit the network;
            torchvision publishes no weights for the network, or the download fails.
    """
    path = Path(origin)
    if origin == TORCHVISION:
        return _published(network_name(model), device)
    if path.is_dir():
        if not (path / FOLDER).is_dir():
            raise InputError(f"{origin} is not a run directory: it has no folder {FOLDER}")
        return _from_checkpoint(find_checkpoint(path / FOLDER), device)
    if not path.is_file():
        raise InputError(
            f"no such file or directory: {origin}; allowed: a run directory, a checkpoint (.ckpt), a file "
            f"with a state dict of torchvision, or {TORCHVISION}"
        )
    if path.suffix == ".ckpt":
        return _from_checkpoint(path, device)
    return _from_state_dict(path, network_name(model), device)


def _from_checkpoint(path: Path, device: str) -> nn.Module:
    checkpoint = read_trained(path, map_location=device)
    with torch.device("meta"):
        net = instantiate(checkpoint["hyper_parameters"]["model"], key=f"model of {path}")
    state = checkpoint["state_dict"].items()
    return _filled(net, {k[4:]: v for k, v in state if k.startswith("net.")}, path)


def _from_state_dict(path: Path, name: str, device: str) -> nn.Module:
    try:
        weights = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many types for a damaged or malicious file
        raise InputError(f"{path}: damaged, or not a file of weights: {_short(error)}") from error
    is_mapping = isinstance(weights, Mapping)
    if not is_mapping or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path}: not a state dict; it must map names to tensors")
    *_, (last,) = weighted_layers(_network(name, CLASSES)).values()
    biases = weights.get(f"{last}.bias", torch.empty(CLASSES))
    return _filled(_network(name, len(biases)), weights, path)


def _published(name: str, device: str) -> nn.Module:
    from torchvision import models

    names = [model for model in (*VARIANTS, *COMPARISON) if model in models.list_models()]
    if name not in names:
        raise InputError(
            f"torchvision publishes no weights for {name}; allowed: {', '.join(names)}"
        )
    net = _network(name, CLASSES)
    if device == "meta":
        return net
    published = models.get_model_weights(name).DEFAULT
    try:
        weights = published.get_state_dict(check_hash=True, map_location=device, weights_only=True)
    except (OSError, RuntimeError) as error:  # no connection, or a wrong checksum
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
        raise InputError(
            f"{published.url} cannot be downloaded ({_short(error)}); save the file as {place}, or set "
            "init.from=<file>"
        ) from error
    return _filled(net, weights, published.url)


def _network(name: str, num_classes: int) -> nn.Module:
    """Builds torchvision's version of a network on the meta device.

    Raises:
        InputError: torchvision has no such network.
    """
    from torchvision import models

    with torch.device("meta"):
        if name in VARIANTS:
            return build(name, num_classes=num_classes)
        if name in COMPARISON:
            return models.get_model(name, num_classes=num_classes)
    raise InputError(
        f"torchvision has no weights for {name}; allowed: {', '.join((*VARIANTS, *COMPARISON))}"
    )


def _filled(net: nn.Module, weights: Mapping[str, Tensor], where: object) -> nn.Module:
    """Loads all weights into a network on the meta device."""
    try:
        net.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise InputError(f"{where}: weights do not fit their network: {_short(error)}") from error
    return net


def _short(error: Exception) -> str:
    return one_line(error)[:200]


def trained_vgg(weights: str, variant: str) -> tuple[VGG, Sequence[float], Sequence[float]]:
    """Loads a trained VGG, and the mean and standard deviation of each input channel, pixels in 0..1.

    Args:
        weights: a run directory, a `.ckpt` file, `torchvision`, or a file with a state dict of torchvision.
        variant: variant of torchvision's weights.

    Raises:
        InputError: there are no such weights, or they belong to another type of network.
    """
    path = Path(weights)
    try:
        checkpoint = find_checkpoint(path / FOLDER) if path.is_dir() else path
        net = trained_network(weights, {"variant": variant})
    except InputError as error:
        raise InputError(f"weights={weights}: {error}") from error
    if not isinstance(net, VGG):
        raise InputError(f"weights={weights}: weights of a {type(net).__name__}; allowed: VGG")
    if checkpoint.suffix == ".ckpt":
        preprocessing = read_checkpoint(checkpoint)["hyper_parameters"]["preprocessing"]
        return net, preprocessing["mean"], preprocessing["std"]
    return net, *IMAGENET
