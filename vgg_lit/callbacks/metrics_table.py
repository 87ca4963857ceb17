"""Writes `metrics.csv`, one row per epoch."""

from pathlib import Path

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only

from vgg_lit.metrics import epoch_metrics
from vgg_lit.system.files import write_text
from vgg_lit.tables import epoch_texts, read_epochs, to_csv

LEADING = ["epoch", "step"]


class MetricsTable(L.Callback):
    """Writes all metrics of an epoch as a row of `metrics.csv` in the run directory.

    The whole file is replaced each time: a crash leaves the last valid file, and a resumed run drops the
    rows of epochs that it repeats.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    @staticmethod
    def file(trainer: L.Trainer) -> Path:
        """Returns the path of a run's table."""
        return Path(trainer.default_root_dir) / "metrics.csv"

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reads the rows of completed epochs."""
        rows = read_epochs(self.file(trainer))
        self.rows = [row for row in rows if int(row["epoch"]) <= trainer.current_epoch]

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds the row of the epoch."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        metrics = epoch_texts(epoch_metrics(trainer))
        epoch = {"epoch": str(trainer.current_epoch + 1), "step": str(trainer.global_step)}
        self.rows.append(epoch | metrics)
        columns = LEADING + sorted({name for row in self.rows for name in row} - set(LEADING))
        write_text(self.file(trainer), to_csv(self.rows, columns))
