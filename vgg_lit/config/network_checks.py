"""Checks of the network of a config against its data, before any process starts.

model, net = check_network(config.model, DataShape.of(config.data))
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vgg_lit.config.schema import Train, Trainer
from vgg_lit.errors import ConfigError, one_line
from vgg_lit.models.data_arguments import (
    DataShape,
    check_agreement_with_data,
    with_data_arguments,
)
from vgg_lit.value_types import Spec

if TYPE_CHECKING:
    from torch import nn


def check_network(spec: Spec, shape: DataShape) -> tuple[dict[str, Any], "nn.Module"]:
    """Checks that the network of a `model` group maps images of the data to logits of its classes.

    The logits are checked when the data are loaded if a property of the data is not known before.

    Returns:
        The group with the arguments that the network takes from the data, and the network without weights.

    Raises:
        ConfigError: an argument is invalid, or the network does not fit the data.
    """
    from vgg_lit.models.network_output import check_logits

    check_agreement_with_data(spec, shape)
    net = check_model(spec, shape)
    model = with_data_arguments(spec, shape, has_stand_ins=True)
    if shape.is_known:
        check_logits(net, model, shape)
    return model, net


def check_model(spec: Spec, shape: DataShape) -> "nn.Module":
    """Returns the network of a `model` group without weights.

    Raises:
        ConfigError: an argument is invalid, e.g. an image size that the pooling does not allow.
    """
    import torch

    from vgg_lit.system.hardware import memory_bytes
    from vgg_lit.system.weightless import build_without_weights

    spec = with_data_arguments(spec, shape, has_stand_ins=True)
    try:
        net = build_without_weights(spec)
    except (RuntimeError, OverflowError) as error:  # impossible tensor shapes
        raise ConfigError(f"model: {one_line(error)}") from error
    if not isinstance(net, torch.nn.Module):
        raise ConfigError(f"model._target_={spec['_target_']}: is not a torch.nn.Module")
    needed = sum(parameter.nbytes for parameter in net.parameters())
    if needed > memory_bytes():
        raise ConfigError(
            f"model: the weights need {needed / 2**30:,.0f} GiB; this machine has "
            f"{memory_bytes() / 2**30:,.0f} GiB of memory"
        )
    return net


def check_batch_norm(net: "nn.Module", config: Train, trainer: Trainer) -> None:
    """Checks that batch norm has several values per channel, as a training needs, in each process.

    Raises:
        ConfigError: it has one, or `trainer.sync_batchnorm` is set for a device that does not have it.
    """
    from vgg_lit.system.hardware import count_devices, count_processes

    kind, _ = count_devices(trainer.accelerator)
    if trainer.sync_batchnorm and kind not in ("gpu", "cuda"):
        raise ConfigError(
            f"trainer.sync_batchnorm=true: torch has it for GPUs, not for {kind}; set "
            "trainer.sync_batchnorm=false"
        )
    size, side = config.data.get("batch_size"), config.data.get("image_size")
    processes = count_processes(trainer.devices, trainer.accelerator) * trainer.num_nodes
    is_synchronised = trainer.sync_batchnorm and processes > 1
    if size != processes or config.find_batch_size or is_synchronised or not side:
        return
    if fails_on_one_image(net, side):
        each = " in each process" if processes > 1 else ""
        raise ConfigError(
            f"data.batch_size={size}: batch norm needs more than one image{each}; set "
            f"data.batch_size={2 * processes} or more, or use a network without batch norm"
        )


def check_last_batch(
    net: "nn.Module", num_images: Sequence[int], side: int, trainer: Mapping[str, Any]
) -> None:
    """Checks that batch norm has several values per channel in the batches of a custom data module.

    Args:
        net: network without weights.
        num_images: images of a batch and of the last batch of an epoch, over all processes.
        side: side of the images, pixels.
        trainer: the `trainer` group.

    Raises:
        ConfigError: it has one.
    """
    from vgg_lit.system.hardware import count_processes

    processes = count_processes(trainer["devices"], trainer["accelerator"]) * trainer["num_nodes"]
    one = next((count for count in num_images if count // processes == 1), None)
    if one is not None and fails_on_one_image(net, side):
        raise ConfigError(
            f"data: a training batch of {one} for {processes} processes leaves one image for each, and batch "
            "norm needs more; choose another batch size, or set drop_last=True in train_dataloader"
        )


def fails_on_one_image(net: "nn.Module", side: int) -> bool:
    """Returns True if batch norm refuses a training batch of one image."""
    import torch

    from vgg_lit.system.weightless import weightless

    kernel = next((p for p in net.parameters() if p.ndim == 4), None)
    if kernel is None:
        return False
    for module in net.train().modules():
        if not any(parameter.requires_grad for parameter in module.parameters()):
            module.eval()  # as in training: frozen layers keep their statistics
    try:
        with weightless(), torch.no_grad():
            net(torch.empty(1, kernel.shape[1], side, side, device="meta"))
    except Exception as error:  # a custom network may take other input
        return "more than 1 value per channel" in str(error)
    return False
