"""A table of the time that each layer takes in a training step.

python -m vgg_lit.train 'callbacks=[default,layer_times]' trainer.max_epochs=1
"""

import statistics
import time
from typing import Any, TypeAlias, cast

import lightning.pytorch as L
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vgg_lit.models.layers import named_layers
from vgg_lit.system.hardware import synchronise
from vgg_lit.tables import print_rows

Mark: TypeAlias = "float | torch.Event"
"""A time stamp: the host's clock in seconds, or an event in the device's stream."""


class StepMarks:
    """Time stamps of one step."""

    def __init__(self, start: Mark) -> None:
        self.start = self.backward_end = self.end = start
        # by layer; backward passes of layers follow one another
        self.forward_starts: dict[str, Mark] = {}
        self.forward_ends: dict[str, Mark] = {}
        self.backward_starts: dict[str, Mark] = {}

    def milliseconds(self) -> dict[str, float]:
        """Returns the times of "<layer> forward", "<layer> backward" and the whole "step"."""
        times = {"step": _milliseconds(self.start, self.end)}
        for name, end in self.forward_ends.items():
            times[f"{name} forward"] = _milliseconds(self.forward_starts[name], end)
        starts = list(self.backward_starts.values())
        for name, start, end in zip(
            self.backward_starts, starts, [*starts[1:], self.backward_end], strict=True
        ):
            times[f"{name} backward"] = _milliseconds(start, end)
        return times


class LayerTimes(L.Callback):
    """Prints the forward and backward time of each layer, the median over some training steps.

    The backward time of a layer lasts from the gradient of its output to the gradient of its input. It
    includes the gradients of its weights and the recomputation of checkpointed blocks. On a GPU the
    times are measured on the device, without synchronisation; if the host is slower than the device, they
    include the time that the device waits for the host.

    Layers have the paper's names; in other networks they are the modules without children.

    Args:
        steps: number of timed steps, in one epoch.
        warmup: number of steps at the start of the run that are not timed.
    """

    def __init__(self, steps: int = 20, warmup: int = 3) -> None:
        if steps < 1 or warmup < 0:
            raise ValueError(f"steps={steps}, warmup={warmup}: should be at least 1 and 0")
        self.steps = steps
        self.warmup = warmup
        self._started = 0
        self._done: list[StepMarks] = []
        self._current: StepMarks | None = None
        self._hooks: list[RemovableHandle] = []
        self._layers: dict[str, nn.Module] = {}
        self._images = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Registers hooks on the layers."""
        self._layers = named_layers(cast(nn.Module, pl_module.net))
        for name, layer in self._layers.items():
            self._watch(name, layer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Marks the start of a step."""
        if self._hooks and self._started >= self.warmup and len(self._done) < self.steps:
            self._current = StepMarks(_mark(pl_module.device))
            self._images = len(batch[0])
        self._started += 1

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Marks the end of the backward pass."""
        if self._current:
            self._current.backward_end = _mark(pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Marks the end of the step."""
        if self._current:
            self._current.end = _mark(pl_module.device)
            self._done.append(self._current)
            self._current = None

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the table once, and removes the hooks."""
        if self._done and self._hooks:
            self._stop_watching()
            synchronise(pl_module.device)
            self._print()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints a note if no step was timed."""
        if self._hooks:
            self._stop_watching()
            print(
                f"no layer was timed: the run had only {self._started} steps, all of them warm-up"
            )

    def _watch(self, name: str, layer: nn.Module) -> None:
        # functions, not methods: copying the net must not copy this callback
        def before(module: nn.Module, arguments: Any) -> None:
            if self._current:
                self._current.forward_starts.setdefault(name, _mark(arguments[0].device))

        def after(module: nn.Module, arguments: Any, output: Tensor) -> None:
            if self._current:
                self._current.forward_ends.setdefault(name, _mark(output.device))
                if output.requires_grad:
                    output.register_hook(backward)

        def backward(gradient: Tensor) -> None:
            if self._current:
                self._current.backward_starts.setdefault(name, _mark(gradient.device))

        self._hooks += [
            layer.register_forward_pre_hook(before),
            layer.register_forward_hook(after),
        ]

    def _stop_watching(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @rank_zero_only
    def _print(self) -> None:
        times = [step.milliseconds() for step in self._done]

        def median(name: str) -> float:
            return statistics.median(step.get(name, 0.0) for step in times)

        layers = {
            name: (median(f"{name} forward"), median(f"{name} backward")) for name in self._layers
        }
        step = median("step")
        rows = [_row(name, *both, sum(both) / step) for name, both in layers.items()]
        forward, backward = (sum(part) for part in zip(*layers.values(), strict=True))
        rows.append(_row("all layers", forward, backward, (forward + backward) / step))
        print_rows(
            rows,
            title=f"{step:.1f} ms per step of {self._images} images, median of {len(times)}",
        )


def _row(name: str, forward: float, backward: float, share: float) -> dict[str, str]:
    return {
        "layer": name,
        "forward, ms": f"{forward:8.2f}",
        "backward, ms": f"{backward:8.2f}",
        "share of step": f"{100 * share:6.1f} %",
    }


def _mark(device: torch.device) -> Mark:
    if device.type == "cpu":
        return time.perf_counter()
    event = torch.Event(device, enable_timing=True)
    event.record()
    return event


def _milliseconds(start: Mark, end: Mark) -> float:
    if isinstance(start, float) or isinstance(end, float):
        return 1000 * (cast(float, end) - cast(float, start))
    return start.elapsed_time(end)
