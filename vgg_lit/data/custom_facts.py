"""The properties of a user's data module: what it or the `data` group declares, or what its data sets have.

    facts = find_facts(module, declared={"num_classes": 10}, train_set=dataset)

Shape suffixes: N images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor

from vgg_lit.errors import InputError

LABELS = ("targets", "labels", "_labels", "y")
"""Usual attributes of data sets with all labels."""


@dataclass(frozen=True)
class CustomFacts:
    """Class names, labels of the training images, and normalisation; None: not known.

    Attributes:
        classes: class names in label order.
        has_names: False if the names are numbers.
        labels_N: labels of the training images.
        mean: subtracted value per channel, for pixels in 0..1.
        std: divisor per channel, for pixels in 0..1.
    """

    classes: tuple[str, ...]
    has_names: bool
    labels_N: Tensor | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def find_facts(module: Any, declared: Mapping[str, Any], train_set: Any) -> CustomFacts:
    """Returns the properties of a data module.

    Args:
        module: the data module, set up.
        declared: values of `custom_groups.DECLARED` in the config.
        train_set: data set of the training loader; None: not known.

    Raises:
        InputError: the number of classes is not known, or two declarations disagree.
    """
    chain = list(_chain(train_set))
    labels = _labels(train_set)
    names = _first(declared, module, chain, ("classes", "class_names"))
    if not isinstance(names, Sequence) or isinstance(names, str):
        names = None
    count = declared.get("num_classes") or getattr(module, "num_classes", None)
    if names is not None and count is not None and len(names) != count:
        raise InputError(
            f"data.num_classes={count}: {type(module).__name__} has {len(names)} classes"
        )
    if names is None and count is None and labels is not None and len(labels):
        count = int(labels.max()) + 1
    if names is None and count is None:
        raise InputError(
            f"data: the number of classes of {type(module).__name__} is not known; set data.num_classes=..."
            " in its YAML file, or give it an attribute num_classes or classes"
        )
    mean, std = (_numbers(_first(declared, module, (), (key,))) for key in ("mean", "std"))
    if mean is None or std is None:
        mean, std = _normalisation(chain)
    classes = (
        tuple(map(str, names)) if names is not None else tuple(map(str, range(int(count or 0))))
    )
    return CustomFacts(classes, names is not None, labels, mean, std)


def _chain(data_set: Any) -> Any:
    """Yields a data set and those that it wraps, such as that of a `Subset`."""
    while data_set is not None:
        yield data_set
        data_set = getattr(data_set, "dataset", None)


def _first(
    declared: Mapping[str, Any], module: Any, chain: Sequence[Any], names: Sequence[str]
) -> Any:
    values = [declared.get(names[0])]
    values += [getattr(owner, name, None) for owner in (module, *chain) for name in names]
    return next((value for value in values if value is not None), None)


def _labels(data_set: Any) -> Tensor | None:
    indices = getattr(data_set, "indices", None)
    if indices is not None and hasattr(data_set, "dataset"):
        labels = _labels(data_set.dataset)
        return None if labels is None else labels[torch.as_tensor(indices)]
    tensors = getattr(data_set, "tensors", ())
    found = [getattr(data_set, name, None) for name in LABELS] + list(tensors[1:2])
    for values in found:
        try:
            labels, count = torch.as_tensor(values).squeeze(), len(data_set)
        except (TypeError, ValueError, RuntimeError):  # no numbers, or a data set without length
            continue
        if labels.ndim == 1 and not labels.is_floating_point() and len(labels) == count:
            return labels.long().cpu()
    return None


def _normalisation(chain: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the mean and deviation of torchvision's `Normalize` in the transform of a data set."""
    for data_set in chain:
        transform = getattr(data_set, "transform", None)
        for step in reversed(getattr(transform, "transforms", [transform])):
            if type(step).__name__ == "Normalize" and hasattr(step, "mean"):
                return _numbers(step.mean), _numbers(step.std)
    return None, None


def _numbers(values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    return tuple(float(value) for value in torch.as_tensor(values, dtype=torch.float64).flatten())


def find_loader(module: L.LightningDataModule, split: str) -> Any:
    """Returns the loader of a data module for "train", "val" or "test"; None if there is none.

    Raises:
        InputError: there are several, or it has no batches or no length.
    """
    name = f"{split}_dataloader"
    if getattr(type(module), name) is getattr(L.LightningDataModule, name):
        return None
    loader = getattr(module, name)()
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if loader is None or (isinstance(loader, list | tuple) and not loader):
        return None
    where = f"data: {name} of {type(module).__name__}"
    if isinstance(loader, list | tuple | Mapping):
        raise InputError(f"{where} returns {len(loader)} loaders; return one")
    try:
        count = len(loader)
    except TypeError:
        raise InputError(
            f"{where} has no length, which the schedule needs; give its data set a __len__"
        ) from None
    if not count:
        raise InputError(f"{where} has no batches; add images or set a smaller batch size")
    return loader


def is_of_pixels(images_BCHW: Tensor) -> bool:
    """Returns True if float images are pixels in 0..1, as `ToTensor` returns them."""
    return bool(images_BCHW.min() >= 0 and images_BCHW.max() <= 1)
