"""What stops a run that cannot come to anything."""

import math

import lightning.pytorch as L

from vgg_lit.callbacks.epoch_metrics import epoch_metrics
from vgg_lit.errors import TrainingError


class FiniteLoss(L.Callback):
    """Ends a run whose loss is no number, before that epoch's weights are saved over better ones.

    It looks once an epoch, at the mean that all processes share, so that no step waits for the device
    and all processes end together.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the epoch's training loss.

        Raises:
            TrainingError: it is infinite or not a number.
        """
        loss = epoch_metrics(trainer).get("train/loss")
        if loss is not None and not math.isfinite(loss):
            raise TrainingError(
                f"the training loss of epoch {trainer.current_epoch + 1} is {loss}; the checkpoints "
                "hold the epochs before it; a lower optimizer.lr helps, and so does a smaller "
                "trainer.gradient_clip_val or a network with batch norm (model=..._bn)"
            )
