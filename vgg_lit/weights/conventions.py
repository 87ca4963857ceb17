"""Layouts of VGG weight files: the entry with the weights, prefixes of keys, names of layers.

    weights, entry = unwrap(torch.load("ckpt.pth", weights_only=True))  # entry: "net"
    convention, net = read_vgg(without_prefixes(weights))
    str(convention)                                                     # "kuangliu's layout (features.N, classifier)"

In all layouts the convolutions are `features.N`, numbered as in torchvision; they differ in the head. The
plan, the width, the head and the number of classes follow from the shapes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vgg_lit.errors import InputError
from vgg_lit.models.layers import weighted_layers
from vgg_lit.models.vgg import VGG
from vgg_lit.weights.shapes import build_from_shapes, fully_connected_shape, read_plan

ENTRIES = (
    *("state_dict", "model_state_dict", "model", "net", "network", "weights", "params"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
)
"""Names of the entry that contains the weights; the first that a file has is used."""

PREFIXES = ("module.", "_orig_mod.", "net.", "model.", "network.")
"""Prefixes that DataParallel, `torch.compile` and wrapping modules add to every key."""

COUNTS = ("n_averaged",)
"""Entries that `torch.optim.swa_utils.AveragedModel` adds to the weights."""


@dataclass(frozen=True)
class Convention:
    """The names of a VGG's layers in a weight file.

    Attributes:
        name: projects that use the layout.
        head: modules of the fully connected layers, from the first to the last; None means a
            `classifier` with modules numbered as in a head of vgg_lit.
    """

    name: str
    head: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.name} layout ({self.keys})"

    @property
    def keys(self) -> str:
        """The names of the modules, such as `features.N, classifier.0|3|6`."""
        if self.head is None:
            return "features.N, classifier.N"
        groups: dict[str, list[str]] = {}
        for path in self.head:
            parent, _, leaf = path.rpartition(".")
            groups.setdefault(parent, []).append(leaf)
        shown = [".".join(filter(None, (p, "|".join(leaves)))) for p, leaves in groups.items()]
        return ", ".join(["features.N", *shown])


CONVENTIONS = (
    Convention(
        "torchvision's, chenyaofo's and weiaicunzai's",
        ("classifier.0", "classifier.3", "classifier.6"),
    ),
    Convention("weiaicunzai's earlier", ("classifier.0", "classifier.3", "classifier.5")),
    Convention("chengyangfu's", ("classifier.1", "classifier.4", "classifier.6")),
    Convention("kuangliu's", ("classifier",)),
    Convention("timm's", ("pre_logits.fc1", "pre_logits.fc2", "head.fc")),
    Convention("headless", ()),
    Convention("vgg_lit's", None),
)

_FEATURE = re.compile(r"features\.(\d+)")
_NUMBERED = re.compile(r"classifier\.(\d+)")


def unwrap(content: Any) -> tuple[dict[str, Tensor], str]:
    """Returns the weights of a loaded file, and the names of the entries that contain them.

    Raises:
        InputError: the file contains no state dict.
    """
    entries: list[str] = []
    while isinstance(content, Mapping):
        weights = {name: value for name, value in content.items() if name not in COUNTS}
        if weights and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
        ):
            return weights, ".".join(entries)
        inner = [n for n in ENTRIES if isinstance(content.get(n), Mapping) and len(content[n])]
        if not inner or len(entries) > len(ENTRIES):
            break
        entries.append(inner[0])
        content = content[inner[0]]
    where = f"its entry {'.'.join(entries)} is" if entries else ""
    raise InputError(
        f"{where or 'is'} not a state dict, which maps names to tensors, and has none in an entry; "
        f"allowed: {', '.join(ENTRIES)}"
    )


def class_names(content: Any) -> tuple[str, ...] | None:
    """Returns the class names that a loaded file has beside its weights, in the order of the logits."""
    if not isinstance(content, Mapping):
        return None
    found = [content.get("classes"), content.get("class_names")]
    indices = content.get("class_to_idx")
    if isinstance(indices, Mapping) and set(indices.values()) == set(range(len(indices))):
        found.append(sorted(indices, key=lambda name: int(indices[name])))
    for names in found:
        if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
            return tuple(names)
    return None


def without_prefixes(weights: Mapping[str, Tensor], known: Iterable[str] = ()) -> dict[str, Tensor]:
    """Removes prefixes that all keys have, and those of wrapped parts (`features.module.0.weight`).

    Args:
        weights: state dict.
        known: keys of the network; prefixes are removed until one of them is found.
    """
    found = {re.sub(r"(^|\.)_orig_mod\.", r"\1", name): w for name, w in weights.items()}
    known = set(known)
    while not known & found.keys():
        shared = [prefix for prefix in PREFIXES if all(n.startswith(prefix) for n in found)]
        if not shared:
            break
        found = {name.removeprefix(shared[0]): weight for name, weight in found.items()}
    if known & found.keys():
        return found
    return {re.sub(r"^(features|classifier)\.module\.", r"\1.", n): w for n, w in found.items()}


def read_vgg(weights: Mapping[str, Tensor]) -> tuple[Convention, VGG]:
    """Recognises the layout of a state dict, and builds the VGG that it belongs to.

    Dropout and the pool of the head have no weights: the network has no dropout, and a pool only for
    7x7 maps. Without a head, the network ends in the last pool.

    Raises:
        InputError: these are not the weights of a VGG, or some are missing.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name, weight in weights.items():
        path, _, leaf = name.rpartition(".")
        layers.setdefault(path, {})[leaf] = weight
    features = {
        int(match[1]): layers[path] for path in layers if (match := _FEATURE.fullmatch(path))
    }
    convention, head = _recognise([path for path in layers if not _FEATURE.fullmatch(path)])
    if not features:
        raise _unlike(list(weights), "has no features.N")
    plan, in_channels, has_norm = read_plan(features)
    linear = [path for path in head if "running_mean" not in layers[path]]
    shapes = [fully_connected_shape(path, layers[path]) for path in linear]
    net = build_from_shapes(
        plan, in_channels, has_norm, shapes, has_head_norm=len(linear) < len(head)
    )
    own = [path for paths in weighted_layers(net).values() for path in paths]
    own = [path for path in own if path.startswith("classifier.")]
    names = dict(zip(head, own, strict=False)) if convention.head else {}
    renamed = {}
    for path, tensors in layers.items():
        for leaf, tensor in tensors.items():
            # timm's hidden layers are convolutions of the whole map
            flat = tensor.flatten(1) if path in head and tensor.ndim == 4 else tensor
            renamed[f"{names.get(path, path)}.{leaf}"] = flat
    fill(net, renamed, {own: theirs for theirs, own in names.items()}, any_shape=False)
    return convention, net


def fill(
    net: nn.Module,
    weights: Mapping[str, Tensor],
    names: Mapping[str, str] | None = None,
    *,
    any_shape: bool = True,
) -> None:
    """Loads all weights into a network on the meta device.

    Args:
        net: network.
        weights: state dict.
        names: modules of the network -> their names in the file, for messages.
        any_shape: let weights have other shapes than the network's, whose shapes then change.

    Raises:
        InputError: a key is unknown or missing, or a shape differs.
    """

    def shown(keys: Sequence[str]) -> str:
        theirs = [
            f"{(names or {}).get(path, path)}.{leaf}".removeprefix(".")
            for path, _, leaf in (key.rpartition(".") for key in keys[:3])
        ]
        return ", ".join(theirs) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")

    own = net.state_dict()
    odd = [key for key in weights if key not in own]
    # older files of torch do not count batches
    lost = [key for key in own if key not in weights and not key.endswith("num_batches_tracked")]
    differences = [f"missing: {shown(lost)}"] if lost else []
    differences += [f"unknown: {shown(odd)}"] if odd else []
    if not any_shape and not differences:
        other = [key for key in weights if weights[key].shape != own[key].shape]
        differences += [f"of other shapes than their layers: {shown(other)}"] if other else []
    if differences:
        raise InputError(
            f"weights do not fit their network, a {type(net).__name__}: {'; '.join(differences)}; "
            "select the network of the file with model=..., or rename the keys"
        )
    for key in own:
        path, _, leaf = key.rpartition(".")
        module, tensor = net.get_submodule(path), weights.get(key)
        if leaf in module._parameters:
            assert tensor is not None
            module._parameters[leaf] = nn.Parameter(tensor.detach(), requires_grad=False)
        else:
            module._buffers[leaf] = torch.tensor(0) if tensor is None else tensor.detach()
        if isinstance(module, nn.Linear) and leaf == "weight" and tensor is not None:
            module.out_features, module.in_features = tensor.shape


def _recognise(paths: Sequence[str]) -> tuple[Convention, list[str]]:
    """Returns the layout that has these modules outside of `features`, and the modules in order."""
    for convention in CONVENTIONS:
        if convention.head is not None and set(convention.head) == set(paths):
            return convention, list(convention.head)
    if all(_NUMBERED.fullmatch(path) for path in paths):
        numbered = sorted(paths, key=lambda path: int(path.rpartition(".")[2]))
        return CONVENTIONS[-1], numbered
    odd = [path for path in paths if not _NUMBERED.fullmatch(path)]
    raise _unlike(odd, "has other layers")


def _unlike(paths: Sequence[str], problem: str) -> InputError:
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    allowed = "; ".join(convention.keys for convention in CONVENTIONS)
    return InputError(
        f"weights do not fit a VGG: the file {problem} ({shown}); rename the keys; allowed: {allowed}"
    )
