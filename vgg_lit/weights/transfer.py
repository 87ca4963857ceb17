"""Copies weights from another network.

copy_layers(vgg16(), trained_vgg11)                           # the layers the paper copies
copy_layers(vgg16(), trained_vgg11, ["block1_conv1", "fc6"])  # layers with the same names
copy_layers(deeper, trained, {"block1": "block1", "fc6": "fc5"})  # target: source
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from vgg_lit.errors import InputError
from vgg_lit.models.layers import layers_of, tensors_of, weighted_layers
from vgg_lit.models.vgg import VGG

Tensors: TypeAlias = dict[str, Tensor]
"""Weights and statistics of a layer and its batch norm."""


REMEDY = (
    "select the network of the source with model=..., or name the layers to copy with init.layers"
)


@dataclass(frozen=True)
class Transfer:
    """The result of copying layers.

    Attributes:
        copied: target layer -> source layer; batch norm is copied with its layer.
        fresh: target layers that keep their initial weights.
        withheld: the last layer, if it fits but the two networks are not known to have the same classes.
        layout: type of the source, such as "kuangliu's layout (features.N, classifier)".
        note: reason why the last layer is not copied, and the setting that copies it.
    """

    copied: dict[str, str]
    fresh: tuple[str, ...]
    withheld: str | None = None
    layout: str = ""
    note: str = ""

    def __str__(self) -> str:
        pairs = [
            here if here == there else f"{here} from {there}" for here, there in self.copied.items()
        ]
        copied = ", ".join(pairs) if self.fresh else f"all {len(pairs)} layers"
        note = f" ({self.note})" if self.note else ""
        return f"{copied}; not copied: {', '.join(self.fresh) or 'none'}{note}"


def copy_layers(
    net: nn.Module,
    source: nn.Module,
    layers: Sequence[str] | Mapping[str, str] | None = None,
    *,
    same_classes: bool = False,
) -> Transfer:
    """Copies layers of `source` into `net`, in place. If a layer does not fit, nothing is copied.

    If the first layer of `net` takes grey images and that of `source` takes colour, the source's
    weights are summed over the three channels. The output for a grey image is then that of the source
    for the same image in three equal channels.

    Args:
        net: target of the weights.
        source: source of the weights.
        layers: names of layers or blocks in both networks, or a mapping from those of `net` to those
            of `source`. None copies the layers that the two have in common:

            - Networks with the same convolutions: all convolutions, and the head if its hidden layers
              are the same.
            - VGGs of different depth: the layers that the paper copies, "the first four convolutional
              layers and the last three fully-connected layers" of the source. By position A's first
              four (64, 128, 256, 256 channels) do not fit those of a deeper configuration (64, 64, 128,
              128). By name (block and index) they fit in B to E, so they are copied by name.

            The last layer is copied only with `same_classes`, and if it fits. With as many, but other
            classes, its logits would belong to the wrong ones.
        same_classes: the classes of both networks are the same, in the same order.

    Raises:
        InputError: there is no such layer, or a layer does not fit; the message names the layer and
            the difference.

    Source: Simonyan & Zisserman 2015, section 3.1.
    """
    mine, given = _tensors_by_layer(net), _tensors_by_layer(source)
    _fold_colour(mine, given)
    withheld = None
    if layers is None:
        names, last = _in_common(net, source, mine, given)
        if last and same_classes:
            names.append(last)
        elif last:
            withheld = last
        pairs = {name: name for name in names}
    else:
        pairs = _named(net, source, layers)
    checked = [_misfit(here, mine[here], there, given[there]) for here, there in pairs.items()]
    if misfits := [misfit for misfit in checked if misfit]:
        more = f"; and {len(misfits) - 3} more layers do not fit" if len(misfits) > 3 else ""
        raise InputError(f"{'; '.join(misfits[:3])}{more}; {REMEDY}")
    with torch.no_grad():
        for here, there in pairs.items():
            for name, tensor in mine[here].items():
                tensor.copy_(given[there][name])
    return Transfer(pairs, tuple(layer for layer in mine if layer not in pairs), withheld)


def all_groups(net: nn.Module) -> list[str]:
    """Returns the names for `layers` that together mean all layers: blocks, then other layers."""
    separator = "_" if isinstance(net, VGG) else "."
    return list(dict.fromkeys(layer.partition(separator)[0] for layer in weighted_layers(net)))


def _named(
    net: nn.Module, source: nn.Module, layers: Sequence[str] | Mapping[str, str]
) -> dict[str, str]:
    pairs: dict[str, str] = {}
    names = layers if isinstance(layers, Mapping) else {name: name for name in layers}
    for here, there in names.items():
        inside_here, inside_there = layers_of(net, here), layers_of(source, there)
        if len(inside_here) != len(inside_there):
            raise InputError(
                f"{here} has {len(inside_here)} layers here, but the source's {there} has {len(inside_there)}"
            )
        pairs |= dict(zip(inside_here, inside_there, strict=True))
    return pairs


def _in_common(
    net: nn.Module, source: nn.Module, mine: dict[str, Tensors], given: dict[str, Tensors]
) -> tuple[list[str], str | None]:
    """Returns the layers that `copy_layers` copies by default, and the last layer if it fits too."""
    body, head = _body_and_head(net, list(mine))
    source_body, source_head = _body_and_head(source, list(given))
    last = head[-1] if source_head[-1:] == head[-1:] else None
    if last and _misfit(last, mine[last], last, given[last]):
        last = None
    if body == source_body:
        hidden = head[:-1]
        fits = [
            _misfit(name, mine[name], name, given[name]) is None for name in hidden if name in given
        ]
        if head != source_head or not all(fits):
            return body, None
        return body + hidden, last
    if not (isinstance(net, VGG) and isinstance(source, VGG)):
        both = [type(module).__name__ for module in (net, source)]
        raise InputError(
            f"{both[0]} and {both[1]} have different layers; name the layers to copy with init.layers"
        )
    names = source_body[:4] + source_head[-3:-1]
    if missing := [name for name in names if name not in mine]:
        raise InputError(
            f"the network has no {' and no '.join(missing)}; name the layers to copy with init.layers"
        )
    return names, last


def _body_and_head(net: nn.Module, layers: list[str]) -> tuple[list[str], list[str]]:
    """Splits layers into convolutions and fully connected ones; if not a VGG, the last layer is the head."""
    if isinstance(net, VGG):  # weights of another project may have no head
        body = [layer for layer in layers if not layer.startswith("fc")]  # with a whitening layer
        return body, layers[len(body) :]
    return layers[:-1], layers[-1:]


def _tensors_by_layer(net: nn.Module) -> dict[str, Tensors]:
    return {
        layer: {
            f"{place}.{name}": tensor
            for place, path in enumerate(paths)
            for name, tensor in tensors_of(net.get_submodule(path))
        }
        for layer, paths in weighted_layers(net).items()
    }


def _fold_colour(mine: dict[str, Tensors], given: dict[str, Tensors]) -> None:
    """Sums the first layer of the source over its three channels if that of the target has one."""
    own, first = next(iter(mine.values())), next(iter(given.values()))
    channels = [layer["0.weight"].shape[1:2] for layer in (own, first) if "0.weight" in layer]
    if channels == [(1,), (3,)]:
        first["0.weight"] = first["0.weight"].sum(dim=1, keepdim=True)


def _misfit(here: str, mine: Tensors, there: str, given: Tensors) -> str | None:
    """Returns the reason why a layer cannot be copied; None if it can be copied."""
    if list(mine) != list(given):
        # the weights were trained together with their batch norm
        return f"{here} and the source's {there} differ in batch norm or bias"
    for name in mine:
        if mine[name].shape != given[name].shape:
            shapes = ["x".join(map(str, tensor[name].shape)) for tensor in (mine, given)]
            return f"{here} is {shapes[0]} here, but the source's {there} is {shapes[1]}"
    return None
