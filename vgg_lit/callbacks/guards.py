"""What stops a run that cannot come to anything, or says that it does not learn."""

import math
import sys
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer

from vgg_lit.errors import TrainingError
from vgg_lit.metrics import epoch_metrics

LOOK_EVERY = 20
"""Steps between two looks at what a GPU has found, each at what it had found at the look before."""

STEPS_TO_JUDGE = 100
"""Fewer say nothing of whether a network learns."""

CLOSE_TO_CHANCE = 0.003
"""A loss that differs from ln(num_classes) by a smaller share is that of guessing."""


HELP = (
    "the checkpoints hold the state before it; a lower optimizer.lr helps, and so does a smaller "
    "trainer.gradient_clip_val or a network with batch norm (model=..._bn)"
)


class FiniteLoss(L.Callback):
    """Ends a run at the first step whose loss or gradient is no finite number, on all processes.

    The device itself keeps the optimiser from that step and all that follow: a fused one takes a flag
    with each step, as it would from a gradient scaler. So no step waits for the host to know. The host
    looks at the end of a step on the CPU, elsewhere every `LOOK_EVERY` steps and before anything is
    saved. An optimiser without a fused step waits for it.

    A loss that is not finite on one process makes its gradient NaN, which DDP passes on to all.
    """

    def __init__(self) -> None:
        self._parameters: list[nn.Parameter] = []
        self._first_bad: Tensor  # the first batch of this epoch that was not finite, or infinity
        self._seen: Tensor | None = None  # what the host has been sent of it
        self._sent: torch.cuda.Event | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins to watch."""
        self._parameters = list(pl_module.parameters())  # gone through in every step
        self._first_bad = torch.tensor(math.inf, device=pl_module.device)
        self._seen = None

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Has a loss that is not finite spoil the whole gradient."""
        value = loss.detach()
        if loss.requires_grad:
            loss.register_hook(lambda gradient: gradient + (value - value))  # 0, or NaN

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Has the optimiser leave out this step if the gradient is not finite.

        Raises:
            TrainingError: it is not, and the optimiser cannot leave out a step by itself.
        """
        if trainer.precision == "16-mixed":
            return  # its scaler leaves out steps, as it should; the epoch's end tells of a bad loss
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        pl_module.gradient_norm = norm  # for whoever clips by it
        batch = float(trainer.fit_loop.epoch_loop.batch_idx)
        bad = torch.where(norm.isfinite(), math.inf, batch)
        self._first_bad = torch.minimum(self._first_bad, bad)
        if optimizer.defaults.get("fused"):
            optimizer.found_inf = self._first_bad.isfinite().float()  # type: ignore[attr-defined]
        else:
            self._end_if_bad(trainer, self._first_bad, step=trainer.global_step + 1)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Looks, without waiting for the device.

        Raises:
            TrainingError: a step was left out.
        """
        if not self._first_bad.is_cuda:
            self._end_if_bad(trainer, self._first_bad)
        elif (batch_idx + 1) % LOOK_EVERY == 0:
            if self._seen is None or self._sent is None:
                self._seen = torch.full((), math.inf, pin_memory=True)
                self._sent = torch.cuda.Event()
            else:
                self._sent.synchronize()  # of many steps ago: it has come to pass
                self._end_if_bad(trainer, self._seen)
            self._seen.copy_(self._first_bad, non_blocking=True)
            self._sent.record()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Looks at the epoch's last steps, and at its training loss.

        Raises:
            TrainingError: a step was left out, or the loss is infinite or not a number.
        """
        self._end_if_bad(trainer, self._first_bad)
        loss = epoch_metrics(trainer).get("train/loss")
        if loss is not None and not math.isfinite(loss):
            raise TrainingError(
                f"the training loss of epoch {trainer.current_epoch + 1} is {loss}; {HELP}"
            )

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Looks once more.

        Raises:
            TrainingError: a step was left out.
        """
        self._end_if_bad(trainer, self._first_bad)

    def _end_if_bad(self, trainer: L.Trainer, first_bad: Tensor, step: int | None = None) -> None:
        bad = float(first_bad.cpu().numpy())
        if not math.isfinite(bad):
            return
        every = trainer.accumulate_grad_batches
        current = trainer.fit_loop.epoch_loop.batch_idx
        step = step or trainer.global_step - (current // every - int(bad) // every)
        raise TrainingError(
            f"the loss or its gradient is not finite at step {step} (epoch {trainer.current_epoch + 1}, "
            f"batch {int(bad) + 1}), which was not taken; {HELP}"
        )


class ChanceLevel(L.Callback):
    """Says so if a network does no better than guessing: its loss stays at ln(num_classes)."""

    def __init__(self) -> None:
        self._is_said = False

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warns, once."""
        loss = epoch_metrics(trainer).get("train/loss")
        if self._is_said or loss is None or trainer.global_step < STEPS_TO_JUDGE:
            return
        num_classes = int(pl_module.hparams["model"]["num_classes"])
        chance = math.log(num_classes)
        if abs(loss - chance) < CLOSE_TO_CHANCE * chance:
            self._is_said = True
            print(
                f"warning: after {trainer.global_step} steps the training loss is still {loss:.4f}, "
                f"and guessing gives ln({num_classes}) = {chance:.4f}: a deep network without batch norm "
                "may never leave it; what helps: one with batch norm (model=..._bn), model.init=xavier, or "
                "the layers of a shallower one (init.from=<run of model=vgg11>)",
                file=sys.stderr,
            )
