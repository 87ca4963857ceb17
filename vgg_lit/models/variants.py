"""The paper's Table 1 as data: convolutions, blocks and heads.

    >>> resolve_variant("vgg16").plan[0]
    (Conv(channels=64, kernel=3, lrn=False), Conv(channels=64, kernel=3, lrn=False))
    >>> smallest_image_size(parse_plan([[128], [256], [512]]))
    8

This module does not import torch, so that checking a config is fast.

Source: Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image
recognition", https://arxiv.org/abs/1409.1556.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from vgg_lit.errors import InputError, unknown
from vgg_lit.models.numbers import is_number, positive_int


@dataclass(frozen=True)
class Conv:
    """One convolution: stride 1, padded so that the map keeps its size, then ReLU (and LRN)."""

    channels: int
    kernel: int = 3
    lrn: bool = False


Plan: TypeAlias = tuple[tuple[Conv, ...], ...]
"""Blocks of convolutions; a 2x2 max pool with stride 2 ends each block."""

PlanLike: TypeAlias = Sequence[Sequence[Any]]
"""A plan as nested lists, e.g. from YAML: see `parse_plan`."""


@dataclass(frozen=True)
class Variant:
    """The convolutional part of a network.

    Attributes:
        plan: blocks of convolutions.
        batch_norm: use BatchNorm2d between each convolution and its ReLU.
        letter: column in Table 1; None for a custom plan.
    """

    plan: Plan
    batch_norm: bool = False
    letter: str | None = None


@dataclass(frozen=True)
class Head:
    """The layers after the last pool: [average pool], flatten, hidden FC layers, FC to the classes.

    Attributes:
        hidden: features of each hidden FC layer; (BatchNorm1d,) ReLU and dropout follow each.
        pool: side of the map after adaptive average pooling; None means no pooling.
        batch_norm: use BatchNorm1d between each hidden layer and its ReLU.
        dropout: probability of zeroing a hidden feature, in [0, 1).
        image_size: default side of the images in pixels.
        pooling: "avg", or "max" for the maximum of each map (`pool` is then 1).
        bias: True adds a bias to the last layer.
        logit_scale: factor on the logits.
        weight_std: standard deviation of the first weights of the last layer; None: as `init`.
    """

    hidden: tuple[int, ...] = ()
    pool: int | None = None
    batch_norm: bool = False
    dropout: float = 0.0
    image_size: int = 32
    pooling: str = "avg"
    bias: bool = True
    logit_scale: float = 1.0
    weight_std: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.hidden, str) or not isinstance(self.hidden, Sequence):
            raise InputError(f"head: hidden={self.hidden!r} is not a list of feature counts")
        hidden = tuple(positive_int("head: hidden features", size) for size in self.hidden)
        object.__setattr__(self, "hidden", hidden)  # a list, as in YAML, becomes a tuple
        positive_int("head: image_size", self.image_size)
        if self.pool is not None:
            positive_int("head: pool", self.pool)
        if not isinstance(self.batch_norm, bool):
            raise InputError(
                f"head: batch_norm={self.batch_norm!r} is not a bool; allowed: true, false"
            )
        if not (is_number(self.dropout) and 0 <= self.dropout < 1):
            raise InputError(f"dropout={self.dropout!r} is not in [0, 1)")
        if not hidden and (self.dropout or self.batch_norm):
            raise InputError(
                "head: without hidden layers, dropout and batch_norm cannot be set; the heads cifar and "
                "imagenet have hidden layers"
            )
        if self.pooling not in ("avg", "max"):
            raise InputError(f"head: pooling={self.pooling!r}; allowed: avg, max")
        if self.pooling == "max" and self.pool != 1:
            raise InputError(f"head: pooling=max needs pool=1, not pool={self.pool}")
        if not isinstance(self.bias, bool):
            raise InputError(f"head: bias={self.bias!r} is neither true nor false")
        for name in ("logit_scale", "weight_std"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 < value < float("inf")):
                raise InputError(f"head: {name}={value!r} is not a positive number")
        if self.logit_scale is None:
            raise InputError("head: logit_scale=None is not a positive number")


def parse_plan(blocks: PlanLike) -> Plan:
    """Converts nested lists to a typed plan: a list of blocks, each a list of items.

    An item is `channels` (a 3x3 convolution), `[channels, kernel]` (odd kernel), or `"LRN"`, which
    adds local response normalisation after the preceding convolution.

    Raises:
        InputError: a block is empty, or an item is none of these.
    """
    if not _is_list(blocks) or not blocks:
        raise InputError(f"plan {blocks!r} is not a list of blocks such as [[64], [128, 128]]")
    return tuple(_parse_block(number, block) for number, block in enumerate(blocks, 1))


def _parse_block(number: int, items: Any) -> tuple[Conv, ...]:
    where = f"block {number} of the plan"
    if not _is_list(items) or not items:
        raise InputError(f"{where}: {items!r} is not a list of convolutions such as [64, 64]")
    block: list[Conv] = []
    for item in items:
        if isinstance(item, Conv):
            block.append(item)
        elif item == "LRN" and block and not block[-1].lrn:
            block[-1] = replace(block[-1], lrn=True)
        else:
            pair = item if _is_list(item) else (item, 3)
            if len(pair) != 2 or isinstance(item, str):
                raise InputError(
                    f"{where}: {item!r} is not a layer; allowed: channels, [channels, kernel], "
                    "and 'LRN' once after a convolution"
                )
            kernel = positive_int(f"{where}: kernel", pair[1])
            if kernel % 2 == 0:
                raise InputError(f"{where}: kernel={kernel} is even; allowed: 1, 3, 5, ...")
            block.append(Conv(positive_int(f"{where}: channels", pair[0]), kernel))
    return tuple(block)


def smallest_image_size(plan: Plan) -> int:
    """Returns the side in pixels of the smallest image that leaves one pixel after the last pool."""
    return 2 ** len(plan)


def scale_plan(plan: Plan, width: float) -> Plan:
    """Returns the plan with every channel count multiplied by `width`, rounded, at least 1."""
    return tuple(tuple(replace(c, channels=scale(c.channels, width)) for c in b) for b in plan)


def scale_head(head: Head, width: float) -> Head:
    """Returns the head with every hidden layer multiplied by `width`, rounded, at least 1."""
    return replace(head, hidden=tuple(scale(size, width) for size in head.hidden))


def scale(size: int, width: float) -> int:
    """Returns a channel or feature count times `width`, rounded, at least 1."""
    if not (is_number(width) and 0 < width < float("inf")):
        raise InputError(f"width={width!r} is not a positive number")
    return max(1, round(size * width))


def resolve_variant(variant: str | PlanLike, batch_norm: bool | None = None) -> Variant:
    """Returns the variant of that name, or the one that a plan describes.

    Raises:
        InputError: unknown name, bad plan, or `batch_norm` together with a name, which includes it.
    """
    if not isinstance(variant, str):
        if batch_norm not in (None, True, False):
            raise InputError(f"batch_norm={batch_norm!r} is not a bool; allowed: true, false")
        return Variant(parse_plan(variant), bool(batch_norm))
    if variant not in VARIANTS:
        raise unknown("variant", variant, VARIANTS)
    if batch_norm is not None:
        raise InputError(
            f"batch_norm={batch_norm} is allowed with a plan only; the name {variant!r} determines it"
        )
    return VARIANTS[variant]


def resolve_head(head: str | Mapping[str, Any] | Head) -> Head:
    """Returns the head of that name, or the one that a mapping of `Head`'s fields describes.

    Raises:
        InputError: unknown name or field, or a bad value.
    """
    if isinstance(head, Head):
        return head
    if isinstance(head, Mapping):
        allowed = [field.name for field in fields(Head)]
        for key in head:
            if key not in allowed:
                raise unknown("field of a head", str(key), allowed)
        return Head(**head)
    if str(head) not in HEADS:
        raise unknown("head", str(head), HEADS)
    return HEADS[head]


def network_name(spec: Mapping[str, Any]) -> str:
    """Returns the variant or plan of a `model` group, or the name of the class it builds."""
    target = str(spec.get("_target_"))
    name = spec.get("name") if target.endswith(".timm_network") else spec.get("variant")
    return str(name or target.rpartition(".")[2])


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


_TABLE_1: dict[str, PlanLike] = {
    "A": [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    "A-LRN": [[64, "LRN"], [128], [256] * 2, [512] * 2, [512] * 2],
    "B": [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    "C": [[64] * 2, [128] * 2, [256, 256, (256, 1)], *[[512, 512, (512, 1)]] * 2],
    "D": [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    "E": [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
}

TABLE_1: dict[str, Plan] = {letter: parse_plan(blocks) for letter, blocks in _TABLE_1.items()}
"""The paper's configurations by its letters. Source: Table 1, columns A to E."""

_LETTERS = {
    "vgg11": "A",
    "vgg11_lrn": "A-LRN",
    "vgg13": "B",
    "vgg16_1x1": "C",
    "vgg16": "D",
    "vgg19": "E",
}

VARIANTS: dict[str, Variant] = {
    name + suffix: Variant(TABLE_1[letter], bool(suffix), letter)
    for name, letter in _LETTERS.items()
    for suffix in ("", "_bn")
    if name + suffix != "vgg11_lrn_bn"  # would normalise the same map twice
}
"""The networks by name; batch norm is newer than the paper (Ioffe & Szegedy 2015)."""

HEADS: dict[str, Head] = {
    # The paper's FC layers; its 224-pixel images end in 7x7 maps, which the pool does not change.
    "imagenet": Head(hidden=(4096, 4096), pool=7, dropout=0.5, image_size=224),
    "cifar": Head(hidden=(512, 512), batch_norm=True, dropout=0.5),
    "linear": Head(),
    "gap": Head(pool=1),
}
"""The heads by name."""

LRN = (5, 5 * 1e-4, 0.75, 2.0)
"""Arguments size n, alpha, beta and k of PyTorch's local response normalisation.

The paper uses AlexNet's constants, where alpha = 1e-4 multiplies the *sum* of n squares. PyTorch
multiplies their *mean*, so alpha is n times as large here.

Source: Krizhevsky et al. 2012, section 3.3; Simonyan & Zisserman 2015, section 2.1.
"""

FAST_VGG: dict[str, Any] = {
    "variant": [[64, 64], [256, 256], [256, 256]],
    "batch_norm": True,
    "whitening": 2,
    "activation": "gelu",
    "pool_first": True,
    "conv_bias": False,
    "norm_scale": False,
    "norm_eps": 1e-12,
    "norm_momentum": 0.4,
    "init": "dirac",
    "head": {
        "pool": 1,
        "pooling": "max",
        "bias": False,
        "weight_std": 1.0,
        "logit_scale": 1 / 256,
    },
}
"""The arguments of `build` for the network of `conf/model/fast_vgg.yaml`.

Source: Keller Jordan 2024, https://arxiv.org/abs/2404.00498.
"""
