"""Networks without weights: builds and runs the network of a config without allocating memory."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vgg_lit.targets import ALLOWED, NETWORKS, instantiate

MOST_OPERATIONS = 20_000
"""Limit on torch operations to build or run a network; torchvision's EfficientNetV2-L needs 11,215 to build."""

MOST_VALUES = 100_000
"""Limit on the values that are read from a tensor at once."""

READERS: Mapping[Any, Callable[[Tensor], Any]] = {
    Tensor.item: Tensor.item,
    Tensor.tolist: Tensor.tolist,
    Tensor.numpy: Tensor.numpy,
    Tensor.__float__: float,
    Tensor.__int__: int,
    Tensor.__bool__: bool,
}
"""Methods that read values, which a tensor without data does not have."""


@contextmanager
def weightless(largest_bytes: float = math.inf) -> Iterator[None]:
    """Returns a context in which tensors have no data, and their size and the number of operations are limited.

    Values that are read are 0: networks read drop rates, for example, that do not change any shape.

    `torch.device("meta")` alone is not enough: the argument `device: cpu` of a layer overrides it, and a
    billion layers need memory even without weights.

    Args:
        largest_bytes: limit on the size of a tensor.

    Raises:
        RuntimeError: a tensor is larger, or there are too many operations.
    """
    with torch.device("meta"), _Bounds(largest_bytes):
        yield


class _Bounds(TorchFunctionMode):
    def __init__(self, largest_bytes: float) -> None:
        super().__init__()
        self.largest_bytes = largest_bytes
        self.operations = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.operations += 1
        if self.operations > MOST_OPERATIONS:
            raise RuntimeError(f"needs more than {MOST_OPERATIONS:,} operations")
        options = dict(kwargs or {})
        if function in READERS and args[0].is_meta and args[0].numel() <= MOST_VALUES:
            return READERS[function](torch.zeros(args[0].shape, dtype=args[0].dtype, device="cpu"))
        if options.get("device") is not None:
            options["device"] = "meta"
        made = function(*args, **options)
        if isinstance(made, Tensor) and made.nbytes > self.largest_bytes:
            raise RuntimeError(f"needs a tensor of {made.nbytes / 2**30:,.1f} GiB for one image")
        return made


def build_without_weights(spec: Mapping[str, Any], prefixes: Sequence[str] = ALLOWED) -> Any:
    """Builds a network on the meta device; on the CPU if its class cannot be built there.

    Raises:
        ConfigError: as in `instantiate`.
    """
    try:
        with weightless():
            return instantiate(spec, key="model", prefixes=prefixes)
    except Exception as error:  # a network may raise anything
        if not needs_values(error, spec):
            raise
    return build_with_weights(spec, prefixes)


def needs_values(error: Exception, spec: Mapping[str, Any]) -> bool:
    """Returns True if a network of the user failed because tensors on the meta device have no values."""
    is_of_user = not str(spec.get("_target_")).startswith(NETWORKS)
    return is_of_user and bool(re.search(r"\bmeta\b", str(error)))


def build_with_weights(spec: Mapping[str, Any], prefixes: Sequence[str] = ALLOWED) -> Any:
    """Builds a network on the CPU; the state of the random numbers does not change.

    Raises:
        ConfigError: as in `instantiate`.
    """
    with torch.random.fork_rng(devices=[]):
        return instantiate(spec, key="model", prefixes=prefixes)
