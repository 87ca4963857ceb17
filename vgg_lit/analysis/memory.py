"""Memory of tensors, measured as they are allocated and freed; fake tensors count like real ones.

with LiveMemory() as memory:
    net(x).sum().backward()
memory.peak

with (kept := KeptForBackward(net)):
    y = net(x)
sum(kept.activations.values())
"""

import weakref
from collections import defaultdict
from typing import Any

from torch import Tensor, UntypedStorage, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all live tensors that operations have allocated.

    Attributes:
        now: current bytes, without tensors that existed before.
        peak: highest value of `now` so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: weakref.WeakSet[UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Runs an operation and counts its outputs."""
        tree_map_only(Tensor, self._know, (args, kwargs))
        output = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, output)
        return output

    def _know(self, tensor: Tensor) -> None:
        """Marks the storage of an input as counted, because a view of it takes no memory."""
        self._known.add(tensor.untyped_storage())

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known.add(storage)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.now -= size


class KeptForBackward(saved_tensors_hooks):
    """Counts the bytes that autograd saves in a forward pass for the backward pass.

    Tensors that share memory count once. The network's weights do not count.

    Args:
        net: the network.

    Attributes:
        layer: layer to which the following saved tensors are assigned.
        activations: bytes of saved activations, by layer.
        weight_copies: bytes of weight copies in the lower precision, which mixed precision saves.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__(self._count, lambda tensor: tensor)
        self.layer = ""
        self.activations: defaultdict[str, int] = defaultdict(int)
        self.weight_copies = 0
        # keeps references: otherwise a new tensor may reuse the address of a freed one
        self._storages = {p.untyped_storage()._cdata: p.untyped_storage() for p in net.parameters()}

    def __exit__(self, *error: Any) -> None:
        """Drops the references to saved storages, so that the backward pass can free them."""
        super().__exit__(*error)
        self._storages.clear()

    def _count(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._storages:
            self._storages[storage._cdata] = storage
            if _comes_from_weight(tensor):
                self.weight_copies += storage.nbytes()
            else:
                self.activations[self.layer] += storage.nbytes()
        return tensor


def _comes_from_weight(tensor: Tensor) -> bool:
    """Returns True if a tensor was computed from a single parameter and nothing else."""
    node = tensor.grad_fn
    while node is not None and len(node.next_functions) == 1:
        (node, _), *_ = node.next_functions
    return node is not None and hasattr(node, "variable")
