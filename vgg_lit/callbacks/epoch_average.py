"""Stochastic weight averaging: the equal mean of the weights after each of the last epochs."""

from itertools import islice
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import WeightAveraging

from vgg_lit.data.batches import BatchLoader
from vgg_lit.models.norm_statistics import recompute_statistics

USUAL_START = 0.75
"""Share of the epochs before the first average (Izmailov et al. 2018, section 4)."""


class EpochAverage(WeightAveraging):
    """Validates, saves and tests the equal mean of the weights after each epoch from an epoch on.

    After each of these epochs the statistics of batch norm are computed for the mean, from the training
    images of the epoch. This takes one forward pass over them. Before the first of these epochs the
    weights themselves are validated and saved.

    Args:
        from_epoch: first epoch whose weights are averaged, counted from 1; None: after three quarters of
            the run.

    Raises:
        ValueError: from_epoch is below 1.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima",
    https://arxiv.org/abs/1803.05407.
    """

    def __init__(self, from_epoch: int | None = None) -> None:
        if from_epoch is not None and from_epoch < 1:
            raise ValueError(f"from_epoch={from_epoch}: should be at least 1")
        super().__init__()
        self.from_epoch = from_epoch
        self._count = 0  # averaged epochs

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Creates the average on the device of the strategy."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins again if a resumed run has more epochs, so that this one is too early."""
        if trainer.current_epoch < self._first_epoch(trainer):
            self._count = 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Adds the weights after the last step of an epoch, before its validation."""
        if trainer.is_last_batch and trainer.current_epoch >= self._first_epoch(trainer):
            self._add(pl_module)
            self._swap_models(pl_module)
            try:
                self._recompute(trainer, pl_module)
            finally:
                self._swap_models(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Does nothing: the average is ready before the validation."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copies the average into the network."""
        if self._count:
            super().on_train_end(trainer, pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Validates the average."""
        if self._count:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Continues with the weights."""
        if self._count:
            super().on_validation_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of averaged epochs."""
        return {"count": self._count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the number of averaged epochs."""
        self._count = state_dict["count"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the average as the network, and the weights beside it."""
        if self._count:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores the weights and the average, if the checkpoint has one."""
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _first_epoch(self, trainer: L.Trainer) -> int:
        """Returns the first averaged epoch, counted from 0."""
        if self.from_epoch is not None:
            return self.from_epoch - 1
        return int(USUAL_START * (trainer.max_epochs or 0))

    @torch.no_grad()
    def _add(self, pl_module: L.LightningModule) -> None:
        """Adds the weights; buffers are copied, because the statistics of batch norm are computed."""
        assert self._average_model is not None
        average, share = self._average_model.module, 1 / (self._count + 1)
        for mean, weight in zip(average.parameters(), pl_module.parameters(), strict=True):
            if self._count:
                mean.lerp_(weight, share)
            else:
                mean.copy_(weight)
        for ours, theirs in zip(average.buffers(), pl_module.buffers(), strict=True):
            ours.copy_(theirs)
        self._count += 1

    @torch.no_grad()
    def _recompute(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Computes the statistics of batch norm from the batches of this epoch, on all processes."""
        loader: Any = trainer.train_dataloader
        if isinstance(loader, BatchLoader):  # the same batches again; its position stays
            batches = loader.at(loader.sampler.positions(trainer.current_epoch))
        else:
            batches = iter(loader)
        with (
            trainer.precision_plugin.forward_context(),
            torch.compiler.set_stance("force_eager"),
        ):
            limit = int(min(trainer.num_training_batches, 2**31))
            inputs = (
                trainer.strategy.batch_to_device(batch)[0] for batch in islice(batches, limit)
            )
            statistics = recompute_statistics(pl_module, (pl_module(x) for x in inputs))
        for statistic in statistics:
            statistic.copy_(trainer.strategy.reduce(statistic, reduce_op="mean"))
