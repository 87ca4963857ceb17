"""Counts the kernel launches of each phase of a training step.

    python benchmarks/launches.py
    python benchmarks/launches.py augment=paper "model=vgg16_bn trainer.precision=32-true" --kernels
    python benchmarks/launches.py trainer.devices=2                 # rank 0 of two GPUs
    python tests/null_gpu/null_runtime.py benchmarks/launches.py    # on a machine without a GPU

Each argument is one setting: overrides of the train command, separated by spaces. A setting with several
devices is the only one, since each process runs this file. The host needs 3 to
6 microseconds for a launch, so a step of N launches on a GPU takes at least that time N times. The count
does not depend on the speed of the machine.

- On a null GPU, a CUDA runtime that counts launches and runs no kernel, the runtime's count, in which a
  matrix product is one launch. It has no cuDNN, so the launches in convolutions are left out, and each convolution is counted as 3: forward,
  gradient of the input, gradient of the weight. Memory fills are not counted.
- On any other device, the operators that PyTorch calls, without views. An operator launches one kernel
  or a few, so this is a lower bound of the launches on a GPU.

The last line is the number of launches in the data phase of the last setting.
"""

import argparse
import contextlib
import ctypes
import io
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from measurement import print_closing_line, print_header, print_table, resolve_device
from torch.utils._python_dispatch import TorchDispatchMode
from training import build, compose, trainer_for

from vgg_lit.system.launch import rank

SETTINGS = (
    "augment=none",
    "",
    "augment=flip_crop",
    "augment=alternating_flip",
    "augment=erasing",
    "augment=flip_crop_erasing",
    "augment=cutmix",
    "augment=mixup",
    "augment=paper",
    "augment=trivial_erasing",
    "augment=autoaugment_cutout",
    "model=vgg16_bn",
)
"""The settings of the table, as overrides of the train command."""

PHASES = ("data", "forward and metrics", "backward", "rest")
"""The phases of a step: `rest` is the guard, clipping, the optimiser and the callbacks."""

FIRST_STEP, STEPS = 3, 8
"""The first counted step, in which all tables of the epoch exist, and the number of counted steps."""


class RuntimeCount:
    """The launches that the runtime of a null GPU has counted, by name of the kernel."""

    def __init__(self, library: str) -> None:
        self._runtime = ctypes.CDLL(library)

    def read(self) -> Counter[str]:
        """Returns the launches so far."""
        buffer = ctypes.create_string_buffer(1 << 20)
        self._runtime.null_gpu_counts(buffer, len(buffer))
        lines = (line.rsplit("\t", 1) for line in buffer.value.decode().splitlines())
        counts = {name: int(count) for name, count in lines}
        return Counter({k.removeprefix("kernel "): n for k, n in counts.items() if "kernel " in k})


class Convolutions(TorchDispatchMode):
    """Leaves the launches in convolutions out of a count.

    Args:
        counter: count of all launches.
    """

    def __init__(self, counter: RuntimeCount) -> None:
        super().__init__()
        self._counter = counter
        self._inside: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Calls an operator."""
        if "convolution" not in str(func):
            return func(*args, **(kwargs or {}))
        before = self._counter.read()
        result = func(*args, **(kwargs or {}))
        self._inside += self._counter.read() - before
        return result

    def read(self) -> Counter[str]:
        """Returns the launches so far."""
        return self._counter.read() - self._inside


class OperatorCount(TorchDispatchMode):
    """The operators that PyTorch has called, by name, without views."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        """Counts an operator and calls it."""
        is_allocation = str(func).startswith(("aten.empty", "aten.new_empty"))
        is_left_out = "_unsafe_view" in str(func) or "convolution" in str(func)
        if not (func.is_view or is_allocation or is_left_out):
            self._counts[str(func)] += 1
        return func(*args, **(kwargs or {}))

    def read(self) -> Counter[str]:
        """Returns the calls so far."""
        return self._counts.copy()


class Phases(L.Callback):
    """Adds up the launches of each phase of the counted steps.

    Attributes:
        launches: launches by name, of each phase, over all counted steps.
    """

    def __init__(self, counter: Convolutions | OperatorCount) -> None:
        self.launches = {phase: Counter[str]() for phase in PHASES}
        self._counter = counter
        self._last: Counter[str] | None = None

    def _end(self, phase: str) -> None:
        now = self._counter.read()
        if self._last is not None:
            self.launches[phase] += now - self._last
            self._last = self._counter.read()

    def on_train_batch_start(self, *_: object) -> None:
        """Ends the data phase: loader, augmentation and normalisation."""
        self._end("data")

    def on_before_backward(self, *_: object) -> None:
        """Ends the forward pass and the update of the metrics."""
        self._end("forward and metrics")

    def on_after_backward(self, *_: object) -> None:
        """Ends the backward pass."""
        self._end("backward")

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Ends the step; starts and stops the count."""
        self._end("rest")
        if index == FIRST_STEP - 1:
            self._last = self._counter.read()
        elif index == FIRST_STEP + STEPS - 1:
            self._last = None


def count(overrides: str, device: torch.device) -> tuple[dict[str, Counter[str]], int]:
    """Trains a few steps; returns the launches of each phase, and the number of convolutions."""
    # a multiple of the steps, and enough images for the batches
    config = compose(
        trainer_for(device),
        "data.val_fraction=0",
        "data.train_size=960",
        "data.batch_size=64",
        "trainer.max_epochs=1",
        f"trainer.limit_train_batches={FIRST_STEP + STEPS + 1}",
        "logger=none",
        *overrides.split(),
    )
    library = os.environ.get("NULL_GPU_LIBRARY")
    counter = Convolutions(RuntimeCount(library)) if library else OperatorCount()
    phases = Phases(counter)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        classifier, datamodule, trainer = build(config, Path(folder))
        # before the callbacks of the config, so that a phase contains no part of another
        trainer.callbacks.append(phases)  # type: ignore[attr-defined]
        with counter:
            trainer.fit(classifier, datamodule=datamodule)
    convolutions = sum(isinstance(layer, torch.nn.Conv2d) for layer in classifier.modules())
    return phases.launches, convolutions


def main() -> None:
    """Prints a table of the settings, and their kernels by name if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", default=SETTINGS, help="overrides of a setting")
    parser.add_argument("--kernels", action="store_true", help="also print launches by name")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args()
    device = resolve_device(args.device)
    counted = "kernel launches" if os.environ.get("NULL_GPU_LIBRARY") else "operators"
    if not rank():
        print_header(f"{counted} per step, batches of 64, mean of {STEPS} steps", device)
    rows, names = [], []
    for overrides in args.settings:
        launches, convolutions = count(overrides, device)
        if rank():
            return
        sums = [sum(launches[phase].values()) / STEPS for phase in PHASES]
        rows.append([overrides or "defaults", *(f"{n:.0f}" for n in sums), str(3 * convolutions)])
        if args.kernels:
            names += [
                [overrides or "defaults", phase, f"{n / STEPS:g}", name]
                for phase in PHASES
                for name, n in launches[phase].most_common()
            ]
    print_table("", ["", *PHASES, "convolutions"], rows)
    for row in names:
        print("\t".join(row))
    print_closing_line("launches", float(rows[-1][1]))


if __name__ == "__main__":
    main()
