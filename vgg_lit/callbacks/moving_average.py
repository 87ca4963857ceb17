"""Moving average of the weights."""

from itertools import chain
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(EMAWeightAveraging):
    """Validates, saves and tests an exponential moving average of the weights.

    Lightning's callback (2.6) creates the average before the network is on its device, so on a GPU every
    step copies all weights to the host and synchronises to test for the first update. This class keeps
    the average on the device of the weights and updates it in one pass without synchronisation.

    Args:
        decay: weight of the old average in an update, in [0, 1]; the current weights get the rest.
        update_every_n_steps: optimiser steps between two updates.
    """

    def __init__(self, decay: float = 0.995, update_every_n_steps: int = 1) -> None:
        super().__init__(decay=decay, update_every_n_steps=update_every_n_steps)
        self._average = get_ema_multi_avg_fn(decay)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Creates the average on the device of the strategy."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Updates the average after a step of the optimiser."""
        step = trainer.global_step
        if step > self._latest_update_step and self.should_update(step_idx=step - 1):
            self._update(pl_module, is_first=self._latest_update_step == 0)
            self._latest_update_step = step

    @torch.no_grad()
    def _update(self, pl_module: L.LightningModule, is_first: bool) -> None:
        assert self._average_model is not None
        average = self._average_model.module
        pairs = zip(
            chain(average.parameters(), average.buffers()),
            chain(pl_module.parameters(), pl_module.buffers()),
            strict=True,
        )
        averaged, current = [], []
        for ours, theirs in pairs:
            if is_first or not ours.is_floating_point():
                ours.copy_(theirs)  # integer buffers, such as batch counts, are not averaged
            else:
                averaged.append(ours)
                current.append(theirs)
        if averaged:
            self._average(averaged, current, None)
        self._average_model.n_averaged += 1
