"""Networks without weights: what a config builds, and what it makes of an image, before room is made for it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

MOST_OPERATIONS = 20_000
"""Of torch's, in building a network or running it once; torchvision's EfficientNetV2-L is built by 11,215."""


@contextmanager
def weightless(largest_bytes: float = math.inf) -> Iterator[None]:
    """Within it tensors have shapes alone, and a config cannot ask for more than a network needs.

    Not `torch.device("meta")` by itself: `device: cpu` among the arguments of a layer overrules that, and a
    billion layers take memory without weights too.

    Args:
        largest_bytes: of a tensor.

    Raises:
        RuntimeError: one would be larger, or the operations are too many.
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
            raise RuntimeError(f"takes more than {MOST_OPERATIONS:,} operations")
        options = dict(kwargs or {})
        if options.get("device") is not None:
            options["device"] = "meta"
        made = function(*args, **options)
        if isinstance(made, Tensor) and made.nbytes > self.largest_bytes:
            raise RuntimeError(f"makes {made.nbytes / 2**30:,.1f} GiB of one image")
        return made
