"""Collective operations between ranks that do not use the training device."""

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

RANKS_PER_STEP = 32
"""Ranks for which an exchange in each step is not noticed; 1,024 ranks exchange the flag every 32 steps."""


class Agreement:
    """A max-all-reduce of a small integer flag during training.

    The hosts exchange the flag in the background, so that neither a device nor a step waits: the flag of
    one step is known to all ranks at the end of the next step. Many ranks exchange it every few steps,
    because an exchange takes two messages for each rank, one after another. With a single process the
    result is immediate.

    Args:
        timeout: time limit for a rank that does not respond.
    """

    def __init__(self, timeout: timedelta | None) -> None:
        self._pending: tuple[Tensor, dist.Work] | None = None
        self._calls, self._every = 0, 1
        self._group: dist.ProcessGroup | None = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(  # type: ignore[assignment]  # this rank is a member
                backend="gloo", timeout=timeout
            )
            self._every = max(1, dist.get_world_size() // RANKS_PER_STEP)

    def exchange(self, flag: int) -> int:
        """Returns the largest flag of the previous exchange, or 0; all ranks must call it at the same steps."""
        if self._group is None:
            return flag
        self._calls += 1
        if self._calls % self._every:
            return 0
        agreed = self._receive()
        if not agreed:  # else this step may already act on the same flags
            self._send(flag)
        return agreed

    def settle(self, flag: int) -> int:
        """Returns the largest flag of this call and the previous one; waits for the other ranks."""
        if self._group is None:
            return flag
        before = self._receive()
        self._send(flag)
        return max(before, self._receive())

    def _send(self, flag: int) -> None:
        flags = torch.tensor([flag])
        work = dist.all_reduce(flags, dist.ReduceOp.MAX, group=self._group, async_op=True)
        assert work is not None
        self._pending = flags, work

    def _receive(self) -> int:
        if self._pending is None:
            return 0
        (flags, work), self._pending = self._pending, None
        work.wait()
        return int(flags.numpy()[0])


def gather(content: Any) -> list[Any]:
    """Returns the content of every rank, in rank order; content is plain values and CPU tensors."""
    if not (dist.is_available() and dist.is_initialized()):
        return [content]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, content)
    return gathered
