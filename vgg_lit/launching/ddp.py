"""DDP strategies and the communication between ranks.

Each rank computes the gradients of its part of a batch, and DDP averages them during the backward pass.
A step sends nothing else: metrics are reduced at the end of an epoch, and batch-norm statistics are sent
before a validation.
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
from vgg_lit.system.launch import STARTS_RANKS, announce_first_process, detect
from vgg_lit.system.lightning_internals import StoreDDPStrategy

# The name of the option in this torch: `broadcast_buffers` is deprecated from 2.15 on.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


LEFT_OVER = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK")
"""Variables of an earlier launcher in a shell; ranks of one machine would wait for its address."""


def cluster_environment() -> ClusterEnvironment:
    """Returns Lightning's environment for the launcher that started this process."""
    launch = detect()
    if launch is None:
        if "LOCAL_RANK" not in os.environ:  # a first process, which starts those of this machine
            for name in LEFT_OVER:
                os.environ.pop(name, None)
            os.environ[STARTS_RANKS] = "1"
        return LightningEnvironment()
    if launch.launcher == "torchrun":
        return TorchElasticEnvironment()
    # Lightning needs this variable, which `srun --ntasks=8 --nodes=2` does not set.
    os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(launch.processes_per_node))
    return SLURMEnvironment(auto_requeue=False)


def build_strategy(spec: dict[str, Any]) -> str | Strategy:
    """Returns the strategy of a `trainer` group; removes the keys from it that only this function reads.

    With one process, or a strategy other than `ddp`, the result is the configured name. With `ddp`,
    gradients are views of the communication buckets. The graph is declared static, except when gradients
    are accumulated: torch 2.15 then raises an internal error (pytorch issue 143580).

    Raises:
        ConfigError: the strategy does not support gradient compression.
    """
    minutes, compression = spec.pop("process_timeout"), spec.pop("gradient_compression")
    spec.pop("rendezvous_timeout", None)  # already read by the rendezvous
    name = spec["strategy"]
    if name not in ("auto", "ddp"):
        if compression:
            raise ConfigError(
                f"trainer.gradient_compression={compression}: not supported with "
                f"trainer.strategy={name}; allowed: auto, ddp"
            )
        return name
    if (
        name == "auto"
        and count_processes(spec["devices"], spec["accelerator"]) * spec["num_nodes"] == 1
    ):
        return name
    strategy = CompressedDDPStrategy if compression else WatchedDDPStrategy
    options: dict[str, Any] = {_SYNC_BUFFERS: False}  # SharedBuffers sends them before a validation
    return strategy(
        static_graph=spec["accumulate_grad_batches"] == 1,
        gradient_as_bucket_view=True,
        timeout=timedelta(minutes=minutes),
        **options,
    )


class WatchedDDPStrategy(StoreDDPStrategy):
    """DDP whose ranks monitor each other, see `vgg_lit.launching.watch`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(rendezvous.store, announce_first_process, **options)

    @property
    def root_device(self) -> torch.device:
        """The device of this rank, which may be the only one that it sees."""
        devices = self.parallel_devices
        return devices[0] if devices and len(devices) == 1 else super().root_device

    @property
    def num_processes(self) -> int:
        """The number of ranks on this machine."""
        launch = detect()
        return launch.processes_per_node if launch else super().num_processes


class CompressedDDPStrategy(WatchedDDPStrategy):
    """DDP that sends gradients in bf16, on any device.

    Lightning 2.6 registers a communication hook on CUDA only and silently ignores it elsewhere.
    """

    def configure_ddp(self) -> None:
        """Wraps the module and registers the compression hook."""
        super().configure_ddp()
        assert isinstance(self.model, DistributedDataParallel)
        self.model.register_comm_hook(state=None, hook=bf16_compress_hook)


class SharedBuffers(L.Callback):
    """Broadcasts the buffers of rank 0 (batch-norm running statistics) before each validation.

    Training does not read the buffers, and rank 0 writes the checkpoints. One broadcast per epoch
    therefore gives bitwise the same result as DDP's default, a broadcast in every forward pass. This
    callback must follow callbacks that swap weights and buffers, such as a moving average.
    """

    @torch.no_grad()
    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Broadcasts the buffers."""
        for buffer in pl_module.buffers():
            dist.broadcast(buffer, src=0)
