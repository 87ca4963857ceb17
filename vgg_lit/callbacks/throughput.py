"""Logs training speed and learning rate, without waiting for the device in a step."""

import math
import time
from typing import Any, cast

import lightning.pytorch as L
import torch
from torch import nn

from vgg_lit.analysis.complexity import training_operations
from vgg_lit.system.hardware import matmul_rate, synchronise

PRODUCT_DTYPES = {
    "bf16-mixed": torch.bfloat16,
    "bf16-true": torch.bfloat16,
    "16-mixed": torch.float16,
    "64-true": torch.float64,
}
"""Data type of matrix products by precision, where it is not float32."""


class Throughput(L.Callback):
    """Logs the speed of each training epoch, over all processes.

    - `throughput/images_per_second`: images per second, without validation and saving.
    - `throughput/data_wait`: share of the time, in 0..1, between the request for a batch and its arrival:
      loading, transfer, augmentation and normalisation. For a loader without the attribute `asked_at`,
      all the time between two steps.
    - `throughput/ceiling_fraction`: operations per second, divided by the rate of matrix products on
      this device in the run's precision, which is measured once, after the first epoch.
    - `throughput/peak_memory_gib`: most memory that tensors have used at one time on one GPU, GiB; on
      CUDA GPUs only.

    Only the last step of an epoch waits for the device, so that its work is done when the clock is read.
    On a GPU `data_wait` is measured on the host: device work launched in that time counts as part of a
    step.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._stepped_at = 0.0
        self._seconds = 0.0
        self._waited = 0.0
        self._images = 0
        self._image_shape: tuple[int, ...] = ()
        self._ceiling: float | None = None  # images per second

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock for a run resumed within an epoch, which has no epoch start."""
        if pl_module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(pl_module.device)
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._images = 0
        self._waited = 0.0
        self._start = self._stepped_at = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Adds the time since the request for the batch."""
        asked_at = getattr(trainer.train_dataloader, "asked_at", self._stepped_at)
        self._waited += time.perf_counter() - asked_at
        self._image_shape = tuple(batch[0].shape[1:])

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Adds the images of the batch."""
        self._images += len(batch[1])
        if trainer.is_last_batch:
            synchronise(pl_module.device)
        self._stepped_at = time.perf_counter()
        self._seconds = self._stepped_at - self._start

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the metrics."""
        if not self._images or self._seconds <= 0:
            return
        rate = self._images * trainer.world_size / self._seconds
        if self._ceiling is None:
            self._ceiling = self._measure_ceiling(trainer, pl_module)
        figures = {"images_per_second": rate, "data_wait": self._waited / self._seconds}
        if math.isfinite(self._ceiling):
            figures["ceiling_fraction"] = rate / self._ceiling
        for name, value in figures.items():
            pl_module.log(f"throughput/{name}", value, sync_dist=True)
        if pl_module.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(pl_module.device) / 2**30
            pl_module.log("throughput/peak_memory_gib", peak, sync_dist=True, reduce_fx="max")

    def _measure_ceiling(self, trainer: L.Trainer, pl_module: L.LightningModule) -> float:
        """Returns the images per second if all operations ran at the rate of matrix products."""
        try:
            operations = training_operations(cast(nn.Module, pl_module.net), self._image_shape)
        except (NotImplementedError, RuntimeError):
            return math.inf  # a custom network that cannot run on the meta device
        dtype = PRODUCT_DTYPES.get(str(trainer.precision), torch.float32)
        return matmul_rate(dtype, pl_module.device) * trainer.world_size / operations


class LearningRate(L.Callback):
    """Logs the learning rates every `log_every_n_steps` steps and each epoch.

    - `lr`: learning rate of the first parameter group.
    - `lr/<name>`: learning rate of layers or blocks with a separate rate (`optimizer.layer_rates`).
    """

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Passes the rates to the loggers as plain floats."""
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            for logger in trainer.loggers:
                logger.log_metrics(_rates(trainer), step=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the rates as metrics of the epoch."""
        pl_module.log_dict(_rates(trainer), sync_dist=True, logger=False)


def _rates(trainer: L.Trainer) -> dict[str, float]:
    groups = trainer.optimizers[0].param_groups
    named: dict[str, float] = {}
    for group in groups:  # of a name with several groups the first
        if "name" in group:
            named.setdefault(f"lr/{group['name']}", float(group["lr"]))
    return {"lr": float(groups[0]["lr"]), **named}
