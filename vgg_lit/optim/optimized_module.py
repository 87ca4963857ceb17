"""The part of the LightningModule that builds and steps optimiser, schedule and gradient clipping."""

import math
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities.types import LRSchedulerTypeUnion, OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vgg_lit.errors import ConfigError
from vgg_lit.metrics import epoch_metrics
from vgg_lit.optim.building import build_optimizer, build_scheduler, fix_finished_layers
from vgg_lit.optim.schedules import Steps


class OptimizedModule(L.LightningModule):
    """A network that is trained with the `optimizer` and `scheduler` of its hyperparameters.

    Attributes:
        net: the network.
        gradient_norm: norm of all gradients of this step if a callback has computed it, else None.
    """

    net: nn.Module
    gradient_norm: Tensor | None = None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Returns the optimiser and, unless the rate is constant, its schedule."""
        if self.hparams["optimizer"] is None or self.hparams["scheduler"] is None:
            raise ConfigError("optimizer and scheduler: needed for training, but not set")
        optimizer = build_optimizer(
            self.hparams["optimizer"], self.net, fused=not self._scales_gradients()
        )
        scheduler = build_scheduler(self.hparams["scheduler"], optimizer, self._steps())
        return {"optimizer": optimizer} | ({"lr_scheduler": scheduler} if scheduler else {})  # type: ignore[return-value]

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips gradients with torch: Lightning refuses fused optimisers, even without scaling."""
        if not gradient_clip_val or self._scales_gradients():
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(self.net.parameters(), gradient_clip_val)
        elif self.gradient_norm is None:
            nn.utils.clip_grad_norm_(self.net.parameters(), gradient_clip_val)
        else:
            nn.utils.clip_grads_with_norm_(
                self.net.parameters(), gradient_clip_val, self.gradient_norm
            )

    def _scales_gradients(self) -> bool:
        """Returns True if gradients are scaled against underflow, which only float16 needs."""
        return self.trainer.precision == "16-mixed"

    def lr_scheduler_step(self, scheduler: LRSchedulerTypeUnion, metric: Any) -> None:
        """Steps every schedule except plateau, which `on_train_epoch_end` steps."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_train_epoch_end(self) -> None:
        """Steps the plateau schedule before the epoch's checkpoint is saved.

        Lightning would step it afterwards: the checkpoint would not include the epoch's score, and a
        resumed run would continue with another rate than an uninterrupted run.
        """
        for config in self.trainer.lr_scheduler_configs:
            metric = epoch_metrics(self.trainer).get(str(config.monitor))
            # None if the epoch was not validated
            if isinstance(config.scheduler, ReduceLROnPlateau) and metric is not None:
                config.scheduler.step(metric)

    def _steps(self) -> Steps:
        total = int(self.trainer.estimated_stepping_batches)  # also counts the batches
        batches = self.trainer.num_training_batches
        per_epoch = total  # of data without a length
        if math.isfinite(batches):  # Lightning also steps after the last batch of an epoch
            per_epoch = math.ceil(batches / self.trainer.accumulate_grad_batches)
        datamodule = getattr(self.trainer, "datamodule", None)
        has_validation = getattr(datamodule, "has_validation", True)
        return Steps(
            total=total,
            per_epoch=max(1, per_epoch),
            has_validation=has_validation and self.trainer.limit_val_batches != 0,
        )

    def fix_finished_layers(self) -> None:
        """Lets layers whose epochs are over keep no gradient."""
        # DDP waits for the gradient of every parameter that had one when it began.
        if self.trainer.world_size == 1:
            for optimizer in self.trainer.optimizers:
                fix_finished_layers(optimizer, self.current_epoch)
