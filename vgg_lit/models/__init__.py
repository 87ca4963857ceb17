"""VGG networks as plain PyTorch modules; does not import Lightning, Hydra or data sets.

The variants are pure data. Everything else imports torch on first use, so that checking a config is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vgg_lit.models.variants import HEADS, TABLE_1, VARIANTS, Head, Plan, Variant

if TYPE_CHECKING:
    from vgg_lit.models.comparison import efficientnet_b0, resnet18, resnet50
    from vgg_lit.models.detection import faster_rcnn
    from vgg_lit.models.freezing import freeze
    from vgg_lit.models.shipped import fast_vgg
    from vgg_lit.models.timm_networks import timm_network
    from vgg_lit.models.vgg import (
        VGG,
        build,
        vgg11,
        vgg11_bn,
        vgg11_lrn,
        vgg13,
        vgg13_bn,
        vgg16,
        vgg16_1x1,
        vgg16_1x1_bn,
        vgg16_bn,
        vgg19,
        vgg19_bn,
    )

__all__ = [
    "HEADS",
    "TABLE_1",
    "VARIANTS",
    "VGG",
    "Head",
    "Plan",
    "Variant",
    "build",
    "efficientnet_b0",
    "fast_vgg",
    "faster_rcnn",
    "freeze",
    "resnet18",
    "resnet50",
    "timm_network",
    "vgg11",
    "vgg11_bn",
    "vgg11_lrn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_1x1",
    "vgg16_1x1_bn",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

_HOMES = {
    "efficientnet_b0": "comparison",
    "fast_vgg": "shipped",
    "faster_rcnn": "detection",
    "freeze": "freezing",
    "resnet18": "comparison",
    "resnet50": "comparison",
    "timm_network": "timm_networks",
}
"""The module of each name that is not in `vgg`."""


if not TYPE_CHECKING:  # type checkers would accept every name

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(import_module(f"vgg_lit.models.{_HOMES.get(name, 'vgg')}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
