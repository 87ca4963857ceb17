"""Training that starts from other weights: what is copied, what stays as it is, what learns more slowly.

    init.from=<run> init.layers=[block1,block2]     # where weights come from
    freeze=[block1,block2] cache_features=true      # layers that stay; their maps computed once
    optimizer.layer_rates={block3:0.1}              # rates of layers or blocks, as factors

`check_fine_tuning` says what is wrong with these before a run begins; the others do it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.models.freezing import freeze, frozen_depth
from vgg_lit.models.vgg import VGG
from vgg_lit.weights.formats import trained_network
from vgg_lit.weights.transfer import Transfer, copy_layers

NO_AUGMENTATION = "vgg_lit.data.NoAugmentation"


def check_fine_tuning(config: Mapping[str, Any], net: nn.Module) -> None:
    """Everything that can be wrong with `init`, `freeze`, `cache_features` and `layer_rates`.

    Args:
        config: plain and otherwise checked.
        net: of its `model` group, on the meta device; is used up.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    if config["resume"] is None:  # else the weights are the run's own
        if config["init"]["from"] and config["ckpt_path"]:
            raise ConfigError("init.from and ckpt_path: both give the first weights; set one")
        copy_weights(config, net, device="meta")
    freeze_layers(config, net)
    if config["cache_features"]:
        _check_cache(config, net)


def copy_weights(config: Mapping[str, Any], net: nn.Module, device: str = "cpu") -> Transfer | None:
    """Copies what `init` says into `net`; None where it says nothing.

    Raises:
        ConfigError: there are no such weights, or they do not fit.
    """
    origin, layers = config["init"]["from"], config["init"]["layers"]
    if not origin:
        if layers:
            raise ConfigError("init.layers: goes with init.from, which is not set")
        return None
    with _said_of(f"init.from={origin}"):
        source = trained_network(origin, config["model"], device)
    with _said_of("init.layers" if layers else f"init.from={origin}"):
        return copy_layers(net, source, layers)


def freeze_layers(config: Mapping[str, Any], net: nn.Module) -> None:
    """Freezes the layers of `freeze`.

    Raises:
        ConfigError: there is no such layer, or nothing is left to train.
    """
    with _said_of("freeze"):
        freeze(net, config["freeze"])
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise ConfigError(f"freeze={config['freeze']}: leaves nothing to train")


def _check_cache(config: Mapping[str, Any], net: nn.Module) -> None:
    if not isinstance(net, VGG):
        raise ConfigError(f"cache_features: goes with a VGG, not with a {type(net).__name__}")
    if not frozen_depth(net):
        raise ConfigError(
            f"cache_features: freeze={config['freeze']} leaves the first layer to train; freeze the "
            "layers from block1_conv1 on"
        )
    augment = config["augment"]["_target_"]
    if augment != NO_AUGMENTATION:
        raise ConfigError(
            f"cache_features: augment is {augment.rpartition('.')[2]}, which makes other features in "
            "each epoch; set augment=none"
        )


@contextmanager
def _said_of(key: str) -> Iterator[None]:
    """Puts the key before what is wrong with its value."""
    try:
        yield
    except InputError as error:
        raise ConfigError(f"{key}: {error}") from error
