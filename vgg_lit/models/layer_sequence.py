"""The modules of a VGG network, in order, under the paper's names."""

from collections.abc import Iterator

from torch import nn

from vgg_lit.models.head_layers import AveragePool, GlobalMaxPool, LogitScale
from vgg_lit.models.layer_options import Layers
from vgg_lit.models.pooled_conv import PooledConv2d
from vgg_lit.models.response_norm import LocalResponseNorm
from vgg_lit.models.variants import LRN, Head, Plan
from vgg_lit.models.whitening import whitening_layer


def conv_layers(
    plan: Plan, in_channels: int, batch_norm: bool, layers: Layers, image_size: int
) -> Iterator[tuple[str, nn.Module]]:
    """Yields the name and the module of each layer of the blocks."""
    act, side = layers.activation, image_size - layers.margin
    if layers.whitening:
        yield "whiten", whitening_layer(in_channels, layers.whitening)
        yield f"whiten_{act}", _activation(act)
        in_channels = 2 * in_channels * layers.whitening**2
    for b, block in enumerate(plan, 1):
        for c, conv in enumerate(block, 1):
            is_pooled = layers.pool_first and c == 1
            is_cropped = is_pooled and side % 2 == 1
            yield (
                f"block{b}_conv{c}",
                (PooledConv2d if is_cropped else nn.Conv2d)(
                    in_channels,
                    conv.channels,
                    conv.kernel,
                    padding=conv.kernel // 2,
                    bias=layers.conv_bias,
                ),
            )
            if is_pooled:
                yield f"block{b}_pool", nn.MaxPool2d(kernel_size=2, stride=2)
            if batch_norm:
                yield f"block{b}_bn{c}", _norm(conv.channels, layers)
            yield f"block{b}_{act}{c}", _activation(act)
            if conv.lrn:  # after the ReLU, as in AlexNet (Krizhevsky et al. 2012, section 3.3)
                yield f"block{b}_lrn{c}", LocalResponseNorm(*LRN)
            in_channels = conv.channels
        side //= 2
        if not layers.pool_first:
            yield f"block{b}_pool", nn.MaxPool2d(kernel_size=2, stride=2)


def _activation(name: str) -> nn.Module:
    return nn.GELU() if name == "gelu" else nn.ReLU(inplace=True)


def _norm(channels: int, layers: Layers) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, layers.norm_eps, layers.norm_momentum)
    norm.weight.requires_grad_(layers.norm_scale)
    return norm


def head_pool(head: Head) -> nn.Module:
    """Returns the pool between the blocks and the head."""
    if head.pool is None:
        return nn.Identity()
    if head.pooling == "max":
        return GlobalMaxPool()
    return AveragePool(head.pool)


def fc_layers(
    in_features: int, head: Head, num_classes: int, *, first: int
) -> Iterator[tuple[str, nn.Module]]:
    """Yields the name and the module of each layer of the head; `first` numbers the first of them."""
    for n, size in enumerate(head.hidden, first):
        yield f"fc{n}", nn.Linear(in_features, size)
        if head.batch_norm:
            yield f"fc{n}_bn", nn.BatchNorm1d(size)
        yield f"fc{n}_relu", nn.ReLU(inplace=True)
        # Also at probability 0, so that the state_dict keys do not depend on it.
        yield f"fc{n}_dropout", nn.Dropout(head.dropout)
        in_features = size
    yield f"fc{first + len(head.hidden)}", nn.Linear(in_features, num_classes, bias=head.bias)
    if head.logit_scale != 1:
        yield "logit_scale", LogitScale(head.logit_scale)
