"""Images a second and the learning rate, logged without waiting for the device in a step."""

import time
from typing import Any

import lightning.pytorch as L


class Throughput(L.Callback):
    """Logs `throughput/images_per_second` of each training epoch, over all processes together.

    Validation and saving do not count; on a GPU the last step's work may still be queued when the
    clock is read, which an epoch of many steps does not feel.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._seconds = 0.0
        self._images = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._images = 0
        self._start = time.perf_counter()

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
        self._seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the rate."""
        if self._images and self._seconds > 0:
            rate = self._images * trainer.world_size / self._seconds
            pl_module.log("throughput/images_per_second", rate, sync_dist=True)


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
