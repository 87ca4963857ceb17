"""Collective operations between ranks that do not use the training device."""

from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Agreement:
    """What processes agree on while they train: the largest of their wishes, which are small numbers.

    The hosts exchange them beside a step, so that neither a device nor a step waits: what is wished at the
    end of a step is known to all at the end of the next. One process agrees with itself at once.

    Args:
        timeout: how long to wait for a process that does not answer.
    """

    def __init__(self, timeout: timedelta | None) -> None:
        self._pending: tuple[Tensor, dist.Work] | None = None
        self._group: dist.ProcessGroup | None = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self._group = dist.new_group(  # type: ignore[assignment]  # of all ranks, this one too
                backend="gloo", timeout=timeout
            )

    def exchange(self, wish: int) -> int:
        """The largest wish of the call before; all processes call this at the same steps."""
        if self._group is None:
            return wish
        agreed = self._answer()
        if not agreed:  # else the wishes of this step may be those that are granted now
            self._ask(wish)
        return agreed

    def settle(self, wish: int) -> int:
        """The largest wish of this call and the one before, which waits for the other processes."""
        if self._group is None:
            return wish
        before = self._answer()
        self._ask(wish)
        return max(before, self._answer())

    def _ask(self, wish: int) -> None:
        wishes = torch.tensor([wish])
        work = dist.all_reduce(wishes, dist.ReduceOp.MAX, group=self._group, async_op=True)
        assert work is not None
        self._pending = wishes, work

    def _answer(self) -> int:
        if self._pending is None:
            return 0
        (wishes, work), self._pending = self._pending, None
        work.wait()
        return int(wishes.numpy()[0])


def gather(content: Any) -> list[Any]:
    """What each process has, by rank, in all of them: plain values and tensors on the CPU."""
    if not (dist.is_available() and dist.is_initialized()):
        return [content]
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, content)
    return gathered
