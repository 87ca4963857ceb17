"""Several processes that train one network: what they send each other, and when.

Each computes the gradients of its part of a batch; DDP averages them while the backward goes on. Nothing
else is sent in a step: metrics meet at an epoch's end, batch norm's statistics before a validation.
"""

import inspect
from datetime import timedelta
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from vgg_lit.hardware import count_processes
from vgg_lit.targets import ConfigError

# What torch calls it: the second name from 2.15 on, which warns of the first.
_SYNC_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)


def build_strategy(spec: dict[str, Any]) -> str | Strategy:
    """How the processes of a `trainer` group work together; takes the keys that only this needs out.

    One process and the strategies of others stay as they are named. `ddp` leaves gradients in the
    buffers they are sent from, and is told that every step uses every weight in the same way, unless
    gradients are accumulated: torch 2.15 then ends in an internal error (pytorch issue 143580).

    Raises:
        ConfigError: gradients are to be compressed by a strategy that would not.
    """
    minutes, compression = spec.pop("process_timeout"), spec.pop("gradient_compression")
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
    strategy = CompressedDDPStrategy if compression else DDPStrategy
    options: dict[str, Any] = {_SYNC_BUFFERS: False}  # once before a validation: see SharedBuffers
    return strategy(
        static_graph=spec["accumulate_grad_batches"] == 1,
        gradient_as_bucket_view=True,
        timeout=timedelta(minutes=minutes),
        **options,
    )


class CompressedDDPStrategy(DDPStrategy):
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
            torch.distributed.broadcast(buffer, src=0)


def leave_out_sigterm_broadcast(trainer: L.Trainer) -> None:
    """Keeps Lightning from asking all processes in every step whether one was told to end.

    The answer is a tensor that Lightning 2.6 waits for (issue 21487).
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
