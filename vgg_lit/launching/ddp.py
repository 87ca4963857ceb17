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
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.strategies import Strategy
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from vgg_lit.errors import ConfigError
from vgg_lit.launching import rendezvous
from vgg_lit.system.hardware import count_processes
from vgg_lit.system.launch import announce_first_process, detect
from vgg_lit.system.lightning_internals import StoreDDPStrategy

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


class WatchedDDPStrategy(StoreDDPStrategy):
    """DDP whose ranks watch each other, see `vgg_lit.launching.shared_fate`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(rendezvous.store, announce_first_process, **options)


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
