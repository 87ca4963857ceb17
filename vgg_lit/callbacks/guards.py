"""Callbacks that stop a diverged run, and warn if a network does not learn."""

import math
import sys
from typing import Any, cast

import lightning.pytorch as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.optim import Optimizer

from vgg_lit.errors import TrainingError
from vgg_lit.metrics import epoch_metrics

LOOK_EVERY = 20
"""Steps between two checks on a GPU; each check reads the value copied at the previous one."""

STEPS_TO_JUDGE = 100
"""Fewest steps after which the training loss is compared with random guessing."""

CLOSE_TO_CHANCE = 0.003
"""A loss within this relative distance of ln(num_classes) counts as random guessing."""


HELP = (
    "checkpoints hold the state before it; try a lower optimizer.lr, a smaller "
    "trainer.gradient_clip_val or a network with batch norm (model=..._bn)"
)


class FiniteLoss(L.Callback):
    """Ends a run on all processes at the first step whose loss or gradient is not finite.

    The device itself skips that step and all following ones: a fused optimiser receives a flag with each
    step, as from a gradient scaler, so no step waits for the host. On the CPU the host checks after each
    step; on other devices every `LOOK_EVERY` steps and before anything is saved. An optimiser without a
    fused step is checked before each step, which waits for the device. The fused steps of MPS ignore the
    flag: the weights in memory become NaN, but nothing of them is saved.

    A loss that is not finite on one process makes its gradient NaN, and DDP spreads it to all processes.
    """

    def __init__(self) -> None:
        self._parameters: list[nn.Parameter] = []
        self._first_bad: Tensor  # the first batch of this epoch that was not finite, or infinity
        self._seen: Tensor | None = None  # copy of it on the host
        self._sent: torch.cuda.Event | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Resets the state."""
        self._parameters = list(pl_module.parameters())  # used in every step
        self._first_bad = torch.tensor(math.inf, device=pl_module.device)
        self._seen = None

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Makes the whole gradient NaN if the loss is not finite."""
        value = loss.detach()
        if loss.requires_grad:
            loss.register_hook(lambda gradient: gradient + (value - value))  # 0, or NaN

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Makes the optimiser skip this step if the gradient is not finite.

        Raises:
            TrainingError: the gradient is not finite, and the optimiser cannot skip a step.
        """
        if trainer.precision == "16-mixed":
            return  # the gradient scaler skips such steps; a bad loss is found after the epoch
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        pl_module.gradient_norm = norm  # reused by gradient clipping
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
        """Checks for a skipped step, without waiting for the device.

        Raises:
            TrainingError: a step was skipped.
        """
        is_due = (batch_idx + 1) % LOOK_EVERY == 0 or self._first_bad.is_cpu
        if is_due and not self._first_bad.is_cuda:
            self._end_if_bad(trainer, self._first_bad)
        elif is_due:
            if self._seen is None or self._sent is None:
                self._seen = torch.full((), math.inf, pin_memory=True)
                self._sent = torch.cuda.Event()
            else:
                self._sent.synchronize()  # recorded many steps ago, so this does not wait
                self._end_if_bad(trainer, self._seen)
            self._seen.copy_(self._first_bad, non_blocking=True)
            self._sent.record()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks the last steps of the epoch and its training loss.

        Raises:
            TrainingError: a step was skipped, or the loss is infinite or NaN.
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
        """Checks for a skipped step before saving.

        Raises:
            TrainingError: a step was skipped.
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
            f"batch {int(bad) + 1}), which was skipped; {HELP}"
        )


class ChanceLevel(L.Callback):
    """Warns if a network is no better than random guessing: its loss stays at ln(num_classes)."""

    def __init__(self) -> None:
        self._is_said = False

    @rank_zero_only
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the warning once."""
        loss = epoch_metrics(trainer).get("train/loss")
        if self._is_said or loss is None or trainer.global_step < STEPS_TO_JUDGE:
            return
        num_classes = int(cast(int, pl_module.num_classes))
        chance = math.log(num_classes)
        if abs(loss - chance) < CLOSE_TO_CHANCE * chance:
            self._is_said = True
            print(
                f"warning: after {trainer.global_step} steps the training loss is still {loss:.4f}; "
                f"random guessing gives ln({num_classes}) = {chance:.4f}; a deep network without batch "
                "norm may never improve on it; try a network with batch norm (model=..._bn), "
                "model.init=xavier, or layers of a shallower run (init.from=<run of model=vgg11>)",
                file=sys.stderr,
            )
