"""Networks without weights: builds and runs the network of a config without allocating memory."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

MOST_OPERATIONS = 20_000
"""Limit on torch operations to build or run a network; torchvision's EfficientNetV2-L needs 11,215 to build."""


@contextmanager
def weightless(largest_bytes: float = math.inf) -> Iterator[None]:
    """A context in which tensors have no data, and their size and the number of operations are limited.

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
        if options.get("device") is not None:
            options["device"] = "meta"
        made = function(*args, **options)
        if isinstance(made, Tensor) and made.nbytes > self.largest_bytes:
            raise RuntimeError(f"needs a tensor of {made.nbytes / 2**30:,.1f} GiB for one image")
        return made
