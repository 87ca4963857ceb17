"""Loads trained networks from the sources that `init.from` accepts.

    trained_network("logs/runs/vgg11/2026-01-31_12-00-00_1f3a", model)  # a run's best checkpoint
    trained_network("best.ckpt", model)                                 # a checkpoint of vgg_lit
    trained_network("vgg16_bn-6c64b313.pth", model)                     # a state dict of another project
    trained_network("model.safetensors", model)                         # the same as safetensors
    trained_network("cifar10", model)                                   # weights in the package
    trained_network("torchvision", model)                               # torchvision's published weights

Files are loaded with `weights_only=True`, so that no code in them is executed. For the layouts of other
projects, see `vgg_lit.weights.conventions`.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from vgg_lit.checkpoints.folder import FOLDER, find_checkpoint
from vgg_lit.checkpoints.storage import check_archive
from vgg_lit.checkpoints.weights import read_trained
from vgg_lit.errors import InputError, one_line
from vgg_lit.models import VARIANTS, VGG, build
from vgg_lit.models.data_arguments import DataShape, with_data_arguments
from vgg_lit.models.layers import weighted_layers
from vgg_lit.models.shipped import FILE, SHIPPED, is_shipped, shipped_folder
from vgg_lit.models.variants import network_name
from vgg_lit.system.small_files import parse_json
from vgg_lit.system.weightless import build_without_weights
from vgg_lit.value_types import Fit
from vgg_lit.weights.conventions import (
    class_names,
    fill,
    read_vgg,
    unwrap,
    without_prefixes,
)
from vgg_lit.weights.untrusted import check_weight_sizes, read_file

TORCHVISION = "torchvision"
COMPARISON = ("resnet18", "resnet50", "efficientnet_b0")
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of each channel in the training of torchvision's weights."""

CLASSES = 1000
"""The number of classes of torchvision's published weights."""


@dataclass(frozen=True)
class Origin:
    """A trained network and the facts that its source states about it.

    Attributes:
        net: network; on the meta device if only its shapes were asked for.
        layout: type of the source or layout of the file, for messages.
        classes: class names in the order of the logits; None if the source has none.
        preprocessing: normalisation and fit of the images; None if the source has none.
    """

    net: nn.Module
    layout: str
    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None


def trained_network(origin: str, model: Mapping[str, Any], device: str = "cpu") -> nn.Module:
    """Loads a trained network; see `load_origin`."""
    return load_origin(origin, model, device).net


def load_origin(origin: str, model: Mapping[str, Any], device: str = "cpu") -> Origin:
    """Loads a trained network with its class names.

    Args:
        origin: a run directory (loads its best checkpoint), a checkpoint of vgg_lit, a file with a state
            dict, a name of `SHIPPED`, or "torchvision", which downloads the published weights for the
            network of `model` if they are not in the cache.
        model: `model` group of the network that receives the weights. If it is a VGG, the file's network
            follows from the file. Otherwise it is this network; other shapes are possible.
        device: device of the weights; "meta" checks the network without downloading weights.

    Raises:
        InputError: there is no such run or file, it is damaged, or its weights do not fit the network;
            torchvision publishes no weights for the network, or the download fails.
    """
    path = Path(origin)
    if origin == TORCHVISION:
        return _published(network_name(model), device)
    if is_shipped(origin):
        return _from_checkpoint(shipped_folder(origin) / FILE, device)
    if path.is_dir():
        if not (path / FOLDER).is_dir():
            raise InputError(f"{origin} is not a run directory: it has no folder {FOLDER}")
        return _from_checkpoint(find_checkpoint(path / FOLDER), device)
    if not path.is_file():
        raise InputError(
            f"no such file or directory: {origin}; allowed: a run directory, a checkpoint (.ckpt), a file "
            f"with a state dict (.pth, .safetensors), {TORCHVISION}, or {', '.join(SHIPPED)}"
        )
    if path.suffix == ".ckpt" and not _is_foreign(path):
        return _from_checkpoint(path, device)
    return _from_file(path, model, device)


def _is_foreign(path: Path) -> bool:
    """Returns True if a `.ckpt` file is of another project: an archive that does not name vgg_lit."""
    try:
        check_archive(path)  # otherwise, each of 100,000 entries could be the same large part
        with zipfile.ZipFile(path) as archive:
            pickles = [part for part in archive.infolist() if part.filename.endswith("data.pkl")]
            return not any(b"vgg_lit" in archive.read(part) for part in pickles)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):  # refused when it is read
        return False


def _from_checkpoint(path: Path, device: str) -> Origin:
    checkpoint = read_trained(path, map_location=device)
    hyperparameters = checkpoint["hyper_parameters"]
    net = build_without_weights(hyperparameters["model"])
    state = checkpoint["state_dict"].items()
    return Origin(
        _filled(net, {k[4:]: v for k, v in state if k.startswith("net.")}, path),
        "checkpoint of vgg_lit",
        tuple(hyperparameters.get("classes") or ()) or None,
        hyperparameters.get("preprocessing") or None,
    )


def _from_file(path: Path, model: Mapping[str, Any], device: str) -> Origin:
    """Loads a state dict; a VGG follows from the file, any other network from `model`."""
    content, metadata = read_file(path, device)
    if isinstance(content, Mapping) and "vgg_lit" in content:
        return _from_checkpoint(path, device)
    net = _without_weights(model)
    classes, preprocessing = _described(metadata)
    try:
        weights, entry = unwrap(content)
        check_weight_sizes(weights, path)
        if isinstance(net, VGG):
            convention, net = read_vgg(without_prefixes(weights))
            layout = str(convention)
        else:
            fill(net, without_prefixes(weights, net.state_dict()))
            layout = f"state dict of a {type(net).__name__}"
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    names = class_names(content) or classes
    return Origin(
        net,
        f"{layout}, in the entry {entry!r}" if entry else layout,
        names if names and len(names) == _outputs(net) else None,
        preprocessing,
    )


def _without_weights(model: Mapping[str, Any]) -> nn.Module:
    """Builds the network of `model` on the meta device."""
    spec = {"_target_": "vgg_lit.models.build", **model}
    net: nn.Module = build_without_weights(with_data_arguments(spec, DataShape(), True))
    return net


def _described(
    metadata: Mapping[str, str],
) -> tuple[tuple[str, ...] | None, Mapping[str, Any] | None]:
    """Returns the class names, normalisation and fit in a safetensors file of `vgg_lit.export`."""
    try:
        description = parse_json(metadata.get("vgg_lit", "{}"))
        steps = description.get("preprocessing", {})
        names = ("subtract_mean", "divide_by_std")
        mean, std = ([float(value) for value in steps[name]] for name in names)
        fit = description.get("input", {}).get("fit", "crop")
        is_sound = (
            len(mean) == len(std)
            and fit in get_args(Fit)
            and all(map(isfinite, mean + std))
            and min(std) > 0
        )
    except (ValueError, AttributeError, TypeError, KeyError):  # not by vgg_lit
        return None, None
    return class_names(description), {"mean": mean, "std": std, "fit": fit} if is_sound else None


def _outputs(net: nn.Module) -> int:
    *_, (last,) = weighted_layers(net).values()
    return len(next(net.get_submodule(last).parameters()))


def _published(name: str, device: str) -> Origin:
    from torchvision import models

    names = [model for model in (*VARIANTS, *COMPARISON) if model in models.list_models()]
    if name not in names:
        raise InputError(
            f"torchvision publishes no weights for {name}; allowed: {', '.join(names)}"
        )
    with torch.device("meta"):
        build_net = build if name in VARIANTS else models.get_model
        net: nn.Module = build_net(name, num_classes=CLASSES)
    published = models.get_model_weights(name).DEFAULT
    layout, classes = "torchvision's weights", tuple(published.meta["categories"])
    if device == "meta":
        return Origin(net, layout, classes)
    try:
        weights = published.get_state_dict(check_hash=True, map_location=device, weights_only=True)
    except (OSError, RuntimeError) as error:  # no connection, or a wrong checksum
        place = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
        raise InputError(
            f"{published.url} cannot be downloaded ({_short(error)}); save the file as {place}, or set "
            "init.from=<file>"
        ) from error
    return Origin(_filled(net, weights, published.url), layout, classes)


def _filled(net: nn.Module, weights: Mapping[str, Tensor], where: object) -> nn.Module:
    """Loads all weights into a network on the meta device."""
    try:
        net.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        raise InputError(f"{where}: weights do not fit their network: {_short(error)}") from error
    return net


def _short(error: Exception) -> str:
    return one_line(error)[:200]


def trained_vgg(weights: str, variant: str) -> tuple[VGG, Sequence[float], Sequence[float], Fit]:
    """Loads a trained VGG, the mean and deviation of each input channel, pixels in 0..1, and the fit.

    Args:
        weights: a run directory, a checkpoint, `torchvision`, or a file with a state dict.
        variant: variant of torchvision's weights.

    Raises:
        InputError: there are no such weights, or they belong to another type of network.
    """
    model = (
        {"_target_": f"vgg_lit.models.{variant}"} if variant in COMPARISON else {"variant": variant}
    )
    try:
        origin = load_origin(weights, model)
    except InputError as error:
        raise InputError(f"weights={weights}: {error}") from error
    net = origin.net
    if not isinstance(net, VGG):
        raise InputError(f"weights={weights}: weights of a {type(net).__name__}; allowed: VGG")
    if origin.preprocessing:
        steps = origin.preprocessing
        return net, steps["mean"], steps["std"], steps.get("fit", "crop")
    if net.in_channels != len(IMAGENET[0]):
        raise InputError(
            f"weights={weights}: a network for {net.in_channels} channels without the normalisation of "
            "its images; use a run or a checkpoint of vgg_lit"
        )
    return net, *IMAGENET, "crop"
