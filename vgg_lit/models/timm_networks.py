"""The networks of timm (extra `timm`), by name and with the arguments of this package.

    net = timm_network("resnet18", num_classes=10, in_channels=1, image_size=32)

Source: Wightman 2019, https://github.com/huggingface/pytorch-image-models.
"""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn

from vgg_lit.errors import InputError
from vgg_lit.models.numbers import positive_int
from vgg_lit.system.extras import require


def timm_network(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Builds a network of timm without pretrained weights.

    Args:
        name: name of the network, as in `timm.list_models()`.
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of an image in pixels, for networks that need it; None: the network's default.
        options: more arguments of the network's class, such as `drop_rate`.

    Raises:
        InputError: timm is not installed, has no such network, or the network does not take an option.
    """
    require("timm", "timm", asked=f"name={name}")
    import timm

    known = timm.list_models()
    if name not in known:
        near = get_close_matches(name, known, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InputError(f"name={name}: timm has no such network{hint}; see timm.list_models()")
    # Not the arguments that download or read files: weights come from init.from.
    refused = set(inspect.signature(timm.create_model).parameters) - {"kwargs", "drop_rate"}
    for option in options or {}:
        if option in refused or option in ("num_classes", "in_chans", "img_size"):
            raise InputError(f"options: {option} cannot be set here")
    arguments = {
        "num_classes": positive_int("num_classes", num_classes),
        "in_chans": positive_int("in_channels", in_channels),
        **(options or {}),
    }
    needs_size = _has_fixed_size(name) and image_size is not None
    if needs_size:
        arguments["img_size"] = image_size
    net: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    return net


def _has_fixed_size(name: str) -> bool:
    """Returns True if a network is built for one image size, as most transformers are."""
    import timm

    cfg = timm.get_pretrained_cfg(name)
    return bool(cfg is not None and cfg.fixed_input_size)
