"""Several processes that train one network: what they send each other, and when.

Each computes the gradients of its part of a batch; DDP averages them while the backward goes on. Nothing
else is sent in a step: metrics meet at an epoch's end, batch norm's statistics before a validation.
"""

import inspect
import os
from datetime import timedelta
from typing import Any

import lightning.pytorch as L
import torch
import torch.distributed as dist
from lightning.fabric.utilities.distributed import _init_dist_connection
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from vgg_lit.hardware import count_processes
from vgg_lit.processes import rendezvous
from vgg_lit.processes.launch import detect
from vgg_lit.processes.shared_fate import Launcher
from vgg_lit.targets import ConfigError

# What torch calls it: the second name from 2.15 on, which warns of the first.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


def cluster_environment() -> ClusterEnvironment:
    """What tells Lightning of the other processes: the launcher of this one, or none."""
    launch = detect()
    if launch is None:
        return LightningEnvironment()
    if launch.launcher == "torchrun":
        return TorchElasticEnvironment()
    # Lightning wants what `srun --ntasks=8 --nodes=2` leaves out.
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(launch.processes_per_node))
    return SLURMEnvironment(auto_requeue=False)


def build_strategy(spec: dict[str, Any]) -> str | Strategy:
    """How the processes of a `trainer` group work together; takes the keys that only this needs out.

    One process and the strategies of others stay as they are named. `ddp` leaves gradients in the
    buffers they are sent from, and is told that every step uses every weight in the same way, unless
    gradients are accumulated: torch 2.15 then ends in an internal error (pytorch issue 143580).

    Raises:
        ConfigError: gradients are to be compressed by a strategy that would not.
    """
    minutes, compression = spec.pop("process_timeout"), spec.pop("gradient_compression")
    spec.pop("rendezvous_timeout", None)  # is over by now
    name = spec["strategy"]
    if name not in ("auto", "ddp"):
        if compression:
            raise ConfigError(
                f"trainer.gradient_compression={compression}: not with trainer.strategy={name}; "
                "allowed: auto, ddp"
            )
        return name
    if (
        name == "auto"
        and count_processes(spec["devices"], spec["accelerator"]) * spec["num_nodes"] == 1
    ):
        return name
    strategy = CompressedDDPStrategy if compression else WatchedDDPStrategy
    options: dict[str, Any] = {_SYNC_BUFFERS: False}  # once before a validation: see SharedBuffers
    return strategy(
        static_graph=spec["accumulate_grad_batches"] == 1,
        gradient_as_bucket_view=True,
        timeout=timedelta(minutes=minutes),
        **options,
    )


class WatchedDDPStrategy(DDPStrategy):
    """DDP whose processes look after each other, see `vgg_lit.processes.shared_fate`."""

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = Launcher(self.cluster_environment, self.num_processes, self.num_nodes)

    def setup_distributed(self) -> None:
        """Connects the processes, where they have met in the store of their attempt.

        Torch would take the launcher's store as it is, and in it, after a restart, addresses of processes
        that are gone.
        """
        if store := rendezvous.store():
            assert self.cluster_environment is not None
            self._process_group_backend = self._get_process_group_backend()
            device = self.root_device if self.root_device.type != "cpu" else None
            _init_dist_connection(
                self.cluster_environment,
                self._process_group_backend,
                store=store,
                timeout=self._timeout,
                device_id=device,
            )
        super().setup_distributed()


class CompressedDDPStrategy(WatchedDDPStrategy):
    """DDP that sends gradients in bf16, on any device.

    Lightning 2.6 takes such a hook for CUDA alone and drops it elsewhere without a word.
    """

    def configure_ddp(self) -> None:
        """Wraps the module and has its gradients compressed."""
        super().configure_ddp()
        assert isinstance(self.model, DistributedDataParallel)
        self.model.register_comm_hook(state=None, hook=bf16_compress_hook)


class SharedBuffers(L.Callback):
    """Before a validation, gives every process the first one's buffers: batch norm's running statistics.

    Training does not read them, and the first process, which writes the checkpoints, keeps its own; so
    once an epoch comes to the same, to the bit, as DDP's default of a broadcast in every forward. It
    stands behind callbacks that bring weights and buffers of their own, such as a moving average.
    """

    @torch.no_grad()
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sends them."""
        for buffer in pl_module.buffers():
            dist.broadcast(buffer, src=0)


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


def leave_signals_to_us(trainer: L.Trainer) -> None:
    """Takes Lightning's handling of signals out, for `vgg_lit.processes.ending_signals` to take its place.

    On SIGTERM Lightning 2.6 has the process broadcast within the handler, where it hangs (issue 20806),
    and to learn of it all processes wait for the device in every step (issue 21487).
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
