"""Learning curves of a training in a notebook, drawn again after each epoch."""

import base64
import html
import io
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only

from vgg_lit.callbacks.metrics_table import MetricsTable
from vgg_lit.metrics import epoch_metrics
from vgg_lit.tables import format_metric, read_csv

PANELS = ("loss", "acc")
SPLITS = ("train", "val")


class LiveDisplay(L.Callback):
    """Shows loss and accuracy of each epoch below the cell that trains, in the place of printed lines.

    A resumed run shows its earlier epochs too.
    """

    def __init__(self) -> None:
        self.curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
        self._shown: Any = None  # the display of the cell

    @rank_zero_only
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reads the epochs of a resumed run."""
        file = MetricsTable.file(trainer)
        for row in read_csv(file) if trainer.current_epoch and file.is_file() else ():
            if int(row["epoch"]) <= trainer.current_epoch:
                values = {name: float(value) for name, value in row.items() if value}
                self._add(int(row["epoch"]), values)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the curves with the new epoch."""
        from IPython.display import HTML, display

        metrics = epoch_metrics(trainer)
        epoch = trainer.current_epoch + 1
        self._add(epoch, metrics)
        page = HTML(self._page(f"epoch {epoch} of {trainer.max_epochs}", metrics))
        if self._shown is None:
            self._shown = display(page, display_id=True)
        else:
            self._shown.update(page)

    def _add(self, epoch: int, metrics: dict[str, float]) -> None:
        for panel in PANELS:
            for split in SPLITS:
                if (value := metrics.get(f"{split}/{panel}")) is not None:
                    by_split = self.curves.setdefault(panel, {})
                    epochs, values = by_split.setdefault(split, ([], []))
                    epochs.append(epoch)
                    values.append(value)

    def _page(self, title: str, metrics: dict[str, float]) -> str:
        """Returns the last epoch in words, and the curves as a picture."""
        names = [f"{split}/{panel}" for split in SPLITS for panel in PANELS]
        parts = [f"{n} {format_metric(n, metrics[n])}" for n in names if n in metrics]
        text = html.escape(", ".join([title, *parts]))
        if not self.curves:
            return f"<p>{text}</p>"
        from vgg_lit.analysis.curves import learning_curves

        picture = io.BytesIO()
        learning_curves(self.curves).savefig(picture, format="png", dpi=80)
        encoded = base64.b64encode(picture.getvalue()).decode("ascii")
        return f'<p>{text}</p><img alt="learning curves" src="data:image/png;base64,{encoded}">'
