"""A progress bar for batches on a terminal, and one line per epoch on terminals and in log files."""

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.utilities import rank_zero_only

from vgg_lit.errors import Preempted
from vgg_lit.metrics import epoch_metrics

SECONDS_BETWEEN_LOSSES = 1.0
"""Reading a loss waits for the device, so that the bar shows only some of them."""


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, with epochs counted from 1 and the loss of the last steps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._outputs: Any = None  # of the last step
        self._loss: float | None = None
        self._read_at = 0.0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stores the loss of the step, which is read when it is shown."""
        self._outputs = outputs
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Returns the values beside the bar: the loss, and not the version of the logger."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        now = time.monotonic()
        if self._outputs is not None and now - self._read_at >= SECONDS_BETWEEN_LOSSES:
            loss = self._outputs["loss"] if isinstance(self._outputs, Mapping) else self._outputs
            self._loss, self._read_at = float(loss), now
        return metrics if self._loss is None else {"loss": f"{self._loss:.4f}", **metrics}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{f'epoch {current_epoch + 1}/{self.trainer.max_epochs}':<10}"  # as long as "Validation"


class Progress(L.Callback):
    """Prints loss, accuracy and duration of each epoch, and the estimated remaining time.

    The line of an epoch is printed after all callbacks have handled its end, so that its checkpoint is on
    disk.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._batches = [0]  # of each epoch; a resumed run may start within an epoch
        self._line = ""

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock."""
        self._start, self._batches = time.perf_counter(), [0]

    @rank_zero_only
    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Counts the batch."""
        self._batches[-1] += 1

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prepares the line of the epoch."""
        done = trainer.current_epoch + 1
        first = self._batches[0] / trainer.num_training_batches  # 0 for data without a length
        epochs = (first or 1.0) + len(self._batches) - 1
        seconds = (time.perf_counter() - self._start) / epochs
        metrics = epoch_metrics(trainer)
        parts = [f"epoch {done:>{len(str(trainer.max_epochs))}}/{trainer.max_epochs}"]
        for stage in ("train", "val"):
            if f"{stage}/loss" in metrics:
                loss, accuracy = metrics[f"{stage}/loss"], metrics[f"{stage}/acc"]
                parts.append(f"{stage} loss {loss:.4f} acc {accuracy:.4f}")
        if rate := metrics.get("throughput/images_per_second"):
            parts.append(f"{rate:,.0f} images/s")
        left = seconds * max(0, (trainer.max_epochs or 0) - done)
        parts.append(f"{seconds:.1f} s per epoch, {_duration(left)} left")
        self._line = "  ".join(parts)

    @rank_zero_only
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the line of the previous epoch."""
        self._print()
        if self._batches[-1]:  # not called for an epoch that is resumed within
            self._batches.append(0)

    @rank_zero_only
    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the line of the last epoch."""
        self._print()

    @rank_zero_only
    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Prints the line of an epoch after which a signal has ended the run; its state is saved."""
        if isinstance(exception, Preempted):
            self._print()

    def _print(self) -> None:
        if self._line:
            print(self._line, flush=True)
        self._line = ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
