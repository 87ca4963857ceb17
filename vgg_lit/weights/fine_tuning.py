"""Fine-tuning: copied weights, frozen layers and layer-wise learning rates.

    init.from=<run> init.layers=[block1,block2]     # source and names of copied layers
    freeze=[block1,block2] cache_features=true      # frozen layers; their output is computed once
    optimizer.layer_rates={block3:0.1}              # learning-rate factors of layers or blocks

`check_fine_tuning` checks these settings before a run starts; the other functions apply them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.models.freezing import freeze, frozen_depth
from vgg_lit.models.vgg import VGG
from vgg_lit.targets import locate
from vgg_lit.weights.formats import load_origin
from vgg_lit.weights.transfer import Transfer, all_groups, copy_layers

NO_AUGMENTATION = "vgg_lit.data.NoAugmentation"


def check_fine_tuning(config: Mapping[str, Any], net: nn.Module) -> None:
    """Checks `init`, `freeze`, `cache_features` and `layer_rates`.

    Args:
        config: config as plain values; all other settings are checked.
        net: network of the `model` group on the meta device; it is modified.

    Raises:
        ConfigError: a setting is invalid.
    """
    if config["resume"] is None:  # a resumed run has its own weights
        if config["init"]["from"] and config["ckpt_path"]:
            raise ConfigError("init.from and ckpt_path: both set the initial weights; set only one")
        copy_weights(config, net, device="meta")
    freeze_layers(config, net)
    if config["cache_features"]:
        _check_cache(config, net)


def copy_weights(
    config: Mapping[str, Any],
    net: nn.Module,
    classes: Sequence[str] | None = None,
    device: str = "cpu",
) -> Transfer | None:
    """Copies the weights of `init` into `net`; returns None if `init.from` is not set.

    Args:
        config: config as plain values.
        net: network; it is modified.
        classes: class names of the data. The last layer is copied only if they are those of the source,
            or if `init.layers` names it.
        device: device of the weights; "meta" checks that they fit.

    Raises:
        ConfigError: there are no such weights, or they do not fit.
    """
    origin, layers = config["init"]["from"], config["init"]["layers"]
    if not origin:
        if layers:
            raise ConfigError("init.layers: needs init.from, which is not set")
        return None
    with _prefixed_errors(f"init.from={origin}"):
        source = load_origin(origin, config["model"], device)
    same_classes = bool(classes) and source.classes == tuple(classes or ())
    with _prefixed_errors("init.layers" if layers else f"init.from={origin}"):
        transfer = copy_layers(net, source.net, layers, same_classes=same_classes)
    note = _why_withheld(transfer, source.classes, classes, net)
    return replace(transfer, layout=source.layout, note=note)


def _why_withheld(
    transfer: Transfer, theirs: Sequence[str] | None, ours: Sequence[str] | None, net: nn.Module
) -> str:
    """Returns the reason why a last layer that fits is not copied, and the setting that copies it."""
    last = transfer.withheld
    if last is None:
        return ""
    reason = "the source has no class names"
    if theirs and ours:
        there, here = next(pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1])
        reason = f"its classes differ: {there} in the source, {here} here"
    names = all_groups(net) if transfer.fresh == (last,) else [*transfer.copied, last]
    return f"{last}: {reason}; to copy it, set init.layers=[{','.join(names)}]"


def freeze_layers(config: Mapping[str, Any], net: nn.Module) -> None:
    """Freezes the layers of `freeze`.

    Raises:
        ConfigError: there is no such layer, or nothing is left to train.
    """
    with _prefixed_errors("freeze"):
        freeze(net, config["freeze"])
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ConfigError(f"freeze={config['freeze']}: freezes all layers; leave one to train")


def _check_cache(config: Mapping[str, Any], net: nn.Module) -> None:
    if not isinstance(net, VGG):
        raise ConfigError(f"cache_features: not supported for {type(net).__name__}; allowed: VGG")
    if not frozen_depth(net):
        raise ConfigError(
            f"cache_features: freeze={config['freeze']} does not include the first layer; freeze all "
            "layers from block1_conv1 on"
        )
    loss = locate(config["loss"]["_target_"], key="loss")
    if getattr(loss, "takes_images", False):
        raise ConfigError(
            f"cache_features: loss._target_={config['loss']['_target_']} takes images, which are not "
            "loaded again; set cache_features=false"
        )
    augment = config["augment"]["_target_"]
    if augment != NO_AUGMENTATION:
        raise ConfigError(
            f"cache_features: with augment={augment.rpartition('.')[2]} features differ in each epoch; "
            "set augment=none"
        )


@contextmanager
def _prefixed_errors(key: str) -> Iterator[None]:
    """Prefixes errors with the name of a setting."""
    try:
        yield
    except InputError as error:
        raise ConfigError(f"{key}: {error}") from error
