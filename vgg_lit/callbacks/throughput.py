"""How fast training goes, and its learning rate, logged without waiting for the device in a step."""

import time
from typing import Any, cast

import lightning.pytorch as L
import torch
from torch import nn

from vgg_lit.analysis.complexity import training_operations
from vgg_lit.hardware import matmul_rate

PRODUCT_DTYPES = {
    "bf16-mixed": torch.bfloat16,
    "bf16-true": torch.bfloat16,
    "16-mixed": torch.float16,
    "64-true": torch.float64,
}
"""What a run's precision multiplies in, where that is not float32."""


class Throughput(L.Callback):
    """Logs how fast each training epoch went, over all processes together.

    - `throughput/images_per_second`: validation and saving do not count.
    - `throughput/data_wait`: share of that time between one step's end and the next one's batch being
      ready: loading, transfer, augmentation and normalisation. 0..1.
    - `throughput/ceiling_fraction`: operations a second over the rate at which this device multiplies
      matrices in the run's precision, measured once, after the first epoch.

    No step waits for the device: on a GPU the last steps' work may still be queued when the clock is
    read, which an epoch of many steps does not feel, and `data_wait` is the host's.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._ready = 0.0  # when the last step ended
        self._seconds = 0.0
        self._waited = 0.0
        self._images = 0
        self._image_shape: tuple[int, ...] = ()
        self._ceiling: float | None = None  # images a second

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._images = 0
        self._waited = 0.0
        self._start = self._ready = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Counts the time since the last step."""
        self._waited += time.perf_counter() - self._ready
        self._image_shape = tuple(batch[0].shape[1:])

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Counts the batch."""
        self._images += len(batch[1])
        self._ready = time.perf_counter()
        self._seconds = self._ready - self._start

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the three figures."""
        if not self._images or self._seconds <= 0:
            return
        rate = self._images * trainer.world_size / self._seconds
        if self._ceiling is None:
            dtype = PRODUCT_DTYPES.get(str(trainer.precision), torch.float32)
            operations = training_operations(cast(nn.Module, pl_module.net), self._image_shape)
            each = matmul_rate(dtype, pl_module.device)
            self._ceiling = each * trainer.world_size / operations
        figures = {
            "images_per_second": rate,
            "data_wait": self._waited / self._seconds,
            "ceiling_fraction": rate / self._ceiling,
        }
        for name, value in figures.items():
            pl_module.log(f"throughput/{name}", value, sync_dist=True)


class LearningRate(L.Callback):
    """Logs `lr`, the rate of the first parameter group, every `log_every_n_steps` and each epoch."""

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Hands the rate to the loggers as the float it is."""
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            for logger in trainer.loggers:
                logger.log_metrics({"lr": _rate(trainer)}, step=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Makes the rate a metric of the epoch."""
        pl_module.log("lr", _rate(trainer), sync_dist=True, logger=False)


def _rate(trainer: L.Trainer) -> float:
    return float(trainer.optimizers[0].param_groups[0]["lr"])
