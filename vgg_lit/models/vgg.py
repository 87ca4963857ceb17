"""VGG networks as plain modules.

    net = vgg16_bn(num_classes=10, head="cifar")                    # a row of the paper's Table 1
    net = build([[128], [256], [512]], head={"hidden": [1024]})     # a custom plan
    net.layer("block3_conv1")                                       # layers by the paper's names

With head "imagenet" modules and state_dict keys are torchvision's, so weights are interchangeable.

Tensor names end in their axes: B batch, C channels, H and W pixels, F features, K classes.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from vgg_lit.errors import InputError, unknown
from vgg_lit.models.block_checkpointing import run_blocks
from vgg_lit.models.initialisation import initialise
from vgg_lit.models.layer_options import Layers
from vgg_lit.models.layer_sequence import conv_layers, fc_layers, head_pool
from vgg_lit.models.numbers import positive_int
from vgg_lit.models.variants import (
    VARIANTS,
    Head,
    Plan,
    PlanLike,
    resolve_head,
    resolve_variant,
    scale_head,
    scale_plan,
    smallest_image_size,
)

PAPER_LAYERS = Layers()


class VGG(nn.Module):
    """Blocks of convolutions, each ended by a max pool, then fully connected layers.

    Maps x_BCHW to logits_BK. `build` creates one from names and options.

    Attributes:
        layer_paths: the paper's name of each layer -> its module path, in forward order, such as
            "block1_conv1" -> "features.0" or "fc6" -> "classifier.0".
        checkpoint_blocks: keep only the maps between blocks for the backward pass in training, and
            recompute the maps inside a block.
        first_module: index of the module of `features` that takes the input; above 0 the input is the
            output of the modules before it.

    Source: Simonyan & Zisserman 2015, section 2.
    """

    def __init__(
        self,
        plan: Plan,
        head: Head,
        *,
        num_classes: int,
        in_channels: int,
        image_size: int,
        batch_norm: bool,
        checkpoint_blocks: bool = False,
        layers: Layers = PAPER_LAYERS,
    ) -> None:
        super().__init__()
        layers.check_norm(batch_norm)
        self.plan = plan
        self.head = head
        self.layers = layers
        self.num_classes = positive_int("num_classes", num_classes)
        self.in_channels = positive_int("in_channels", in_channels)
        self.image_size = positive_int("image_size", image_size)
        self.checkpoint_blocks = checkpoint_blocks
        self.first_module = 0
        if image_size < smallest_image_size(plan) + layers.margin:
            raise InputError(
                f"image_size={image_size} is too small for {len(plan)} pools; "
                f"the smallest is {smallest_image_size(plan) + layers.margin}"
            )

        side = head.pool or self.map_side(image_size)
        features = dict(conv_layers(plan, in_channels, batch_norm, layers, image_size))
        classifier = dict(
            fc_layers(plan[-1][-1].channels * side**2, head, num_classes, first=len(plan) + 1)
        )
        self.features = nn.Sequential(*features.values())
        self.avgpool = head_pool(head)
        self.classifier = nn.Sequential(*classifier.values())
        self.layer_paths = {
            **{name: f"features.{i}" for i, name in enumerate(features)},
            **({f"{head.pooling}pool": "avgpool"} if head.pool else {}),
            **{name: f"classifier.{i}" for i, name in enumerate(classifier)},
        }

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Returns the logits_BK of a batch of images."""
        if self.head.pool is None and not self.first_module:
            x_BCHW = _fitting_head(x_BCHW, self.image_size, self.layers.margin, len(self.plan))
        features = self.features[self.first_module :] if self.first_module else self.features
        if self.checkpoint_blocks and self.training and torch.is_grad_enabled():
            x_BCHW = run_blocks(features, x_BCHW)
        else:
            x_BCHW = features(x_BCHW)
        return self.classifier(torch.flatten(self.avgpool(x_BCHW), 1))

    def layer(self, name: str) -> nn.Module:
        """Returns the module with the paper's name, such as `block4_conv2`, `block5_pool` or `fc6`.

        Raises:
            InputError: this network has no such layer.
        """
        if name not in self.layer_paths:
            raise unknown("layer", name, self.layer_paths)
        return self.get_submodule(self.layer_paths[name])

    def map_side(self, image_side: int) -> int:
        """Returns the side of the last map of an image, both in their own pixels."""
        return (image_side - self.layers.margin) // smallest_image_size(self.plan)


@fx.wrap  # a node of a traced graph: the size is checked when the graph runs
def _fitting_head(x_BCHW: Tensor, image_size: int, margin: int, num_pools: int) -> Tensor:
    """Returns the images if their last maps have the side of those that the head takes.

    Args:
        x_BCHW: images.
        image_size: side of the images that the head takes, pixels.
        margin: pixels that the first layers remove.
        num_pools: number of pools, each of which halves the side.

    Raises:
        InputError: they have another size.
    """
    height, width = x_BCHW.shape[-2:]
    sides = [(side - margin) // 2**num_pools for side in (height, width, image_size)]
    if not sides[0] == sides[1] == sides[2]:
        raise InputError(
            f"a {height}x{width} image does not fit this network: its head takes the maps of "
            f"{image_size}x{image_size} images; use a head with a pool, such as 'gap', "
            "for other sizes"
        )
    return x_BCHW


def build(
    variant: str | PlanLike,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int | None = None,
    head: str | Mapping[str, Any] | Head = "imagenet",
    width: float = 1.0,
    dropout: float | None = None,
    init: str = "kaiming",
    batch_norm: bool | None = None,
    checkpoint_blocks: bool = False,
    activation: str = "relu",
    pool_first: bool = False,
    conv_bias: bool = True,
    norm_scale: bool = True,
    norm_eps: float = 1e-5,
    norm_momentum: float = 0.1,
    whitening: int | None = None,
) -> VGG:
    """Builds and initialises the network of a variant.

    Args:
        variant: a name such as "vgg16_bn", or a plan such as [[64], [128], [256, 256]].
        num_classes: number of logits.
        in_channels: channels of an image.
        image_size: side of an image in pixels; default: the head's (224 or 32).
        head: a name of `HEADS`, or a mapping of `Head`'s fields such as {"hidden": [1024]}.
        width: factor on every channel count and hidden layer; each is rounded, at least 1.
        dropout: probability in [0, 1); default: the head's.
        init: a name of `initialisation.INITS`.
        batch_norm: use batch norm; for plans only, since a name includes it. None means no.
        checkpoint_blocks: save memory in training by a second forward pass; see `VGG`.
        activation: "relu" or "gelu".
        pool_first: the pool follows the first convolution of its block, before the norm.
        conv_bias: convolutions have a bias.
        norm_scale: batch norm learns a scale; otherwise the scale stays 1.
        norm_eps: added to the variance in batch norm.
        norm_momentum: share of a batch in the running statistics of batch norm.
        whitening: side in pixels of the filters of a fixed first layer that whitens patches; None: no
            such layer. Its filters are computed from training images, see
            `vgg_lit.models.whitening.whiten`.

    Raises:
        InputError: a value is not allowed; the message names the value and the allowed ones.
    """
    network, top = resolve_variant(variant, batch_norm), resolve_head(head)
    if dropout is not None:
        top = replace(top, dropout=dropout)
    net = VGG(
        scale_plan(network.plan, width),
        scale_head(top, width),
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=top.image_size if image_size is None else image_size,
        batch_norm=network.batch_norm,
        checkpoint_blocks=checkpoint_blocks,
        layers=Layers(
            activation, pool_first, conv_bias, norm_scale, norm_eps, norm_momentum, whitening
        ),
    )
    initialise(net, init)
    if top.weight_std is not None:
        last = net.layer(f"fc{len(net.plan) + 1 + len(top.hidden)}")
        nn.init.normal_(last.get_parameter("weight"), std=top.weight_std)
    return net


class Builder(Protocol):
    """The signature of `build` with a fixed variant."""

    def __call__(
        self,
        *,
        num_classes: int = ...,
        in_channels: int = ...,
        image_size: int | None = ...,
        head: str | Mapping[str, Any] | Head = ...,
        width: float = ...,
        dropout: float | None = ...,
        init: str = ...,
        checkpoint_blocks: bool = ...,
        activation: str = ...,
        pool_first: bool = ...,
        conv_bias: bool = ...,
        norm_scale: bool = ...,
        norm_eps: float = ...,
        norm_momentum: float = ...,
        whitening: int | None = ...,
    ) -> VGG:
        """Builds and initialises the network."""


def _builder(name: str) -> Builder:
    def builder(**options: Any) -> VGG:
        return build(name, **options)

    # A real function of that name: it can be pickled, and help() and Hydra's errors show its name.
    signature = inspect.signature(build)
    options = [p for p in signature.parameters.values() if p.name not in ("variant", "batch_norm")]
    builder.__name__ = builder.__qualname__ = name
    builder.__doc__ = f"Configuration {VARIANTS[name].letter} of the paper's Table 1; see `build`."
    builder.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    return builder


vgg11 = _builder("vgg11")
vgg11_bn = _builder("vgg11_bn")
vgg11_lrn = _builder("vgg11_lrn")
vgg13 = _builder("vgg13")
vgg13_bn = _builder("vgg13_bn")
vgg16_1x1 = _builder("vgg16_1x1")
vgg16_1x1_bn = _builder("vgg16_1x1_bn")
vgg16 = _builder("vgg16")
vgg16_bn = _builder("vgg16_bn")
vgg19 = _builder("vgg19")
vgg19_bn = _builder("vgg19_bn")
