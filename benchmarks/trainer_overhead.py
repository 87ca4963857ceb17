"""Measures the overhead of Lightning's Trainer with all our callbacks over a bare loop.

    python benchmarks/trainer_overhead.py
    python benchmarks/trainer_overhead.py --model vgg13_bn_slim --batch 64 --steps 25
    python benchmarks/trainer_overhead.py callbacks=none logger=none

The Trainer is that of the default config, with its callbacks, loggers and progress bar. The bare loop
has the same batches, augmentation, network, kernels, clipping, optimiser and schedule, but no
metrics. The largest difference of the final weights is printed. Both alternate in one process. The
second command measures the quick start's network, the third only the share of Lightning.

The end of an epoch (logging, the table, checkpoints, but not validation) is not part of a step and is
shown separately. The last line is the Trainer's time for a step over the bare loop's.
"""

import statistics
import time
from typing import Any

import lightning.pytorch as L
import torch
from measurement import (
    argument_parser,
    paired_ratio,
    print_closing_line,
    print_header,
    print_table,
    resolve_device,
    seconds_per_step,
    steps_needed,
)
from training import BareLoop, compose, fit_by_turns, real_images, trainer_for

EPOCH_IMAGES = 45_000
"""Images per epoch for the relative cost of its end: nine tenths of CIFAR-10."""


class EpochEnd(L.Callback):
    """A callback that times the end of an epoch, without validation, and copies the weights.

    Attributes:
        seconds: time from the last step to the end of the epoch, without validation.
        weights: weights of the network at the end.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.weights: dict[str, torch.Tensor] = {}
        self._clock = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Restarts the clock after each step, so that only the last step counts."""
        self._clock = -time.perf_counter()

    def on_validation_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Pauses the clock."""
        self._clock += time.perf_counter()

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Resumes the clock."""
        self._clock -= time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Stops the clock and copies the weights."""
        self.seconds = self._clock + time.perf_counter()
        self.weights = {name: w.clone() for name, w in pl_module.net.state_dict().items()}


def main() -> None:
    """Prints the seconds of a step and of the end of an epoch, and the ratio last."""
    parser = argument_parser(__doc__, repeats=9, steps=6)
    parser.add_argument("--model", default="vgg16_bn", help="as model= in training (%(default)s)")
    parser.add_argument("--width", type=float, help="as model.width= (the model's default)")
    parser.add_argument("--batch", type=int, default=128, help="images per batch (%(default)s)")
    parser.add_argument("overrides", nargs="*", help="more overrides of the train command")
    args = parser.parse_args()
    device = resolve_device(args.device)
    print_header(
        f"{args.model}, batches of {args.batch}, blocks of {args.steps} steps, "
        f"{args.repeats} repeats",
        device,
    )

    total_steps = steps_needed(args.repeats, args.steps)
    overrides = [
        *real_images(count=2 * args.batch * total_steps),
        trainer_for(device),
        f"model={args.model}",
        *([f"model.width={args.width}"] if args.width else []),
        f"data.batch_size={args.batch}",
        "augment=flip_crop",
        "trainer.limit_val_batches=1",
        *args.overrides,
    ]
    bare = BareLoop(compose(*overrides), total_steps)
    epoch_end = EpochEnd()
    seconds = fit_by_turns(
        compose(*overrides),
        {"bare": lambda: seconds_per_step(bare.step, args.steps, device)},
        args.repeats,
        args.steps,
        device,
        [epoch_end],
    )
    ratio = paired_ratio(seconds["trainer"], seconds["bare"])
    rows = [
        [name, f"{1e3 * step:.2f}", f"{args.batch / step:,.0f}"]
        for name, step in ((name, statistics.median(times)) for name, times in seconds.items())
    ]
    print_table("median step", ["", "ms", "images/s"], rows)
    epoch = EPOCH_IMAGES / args.batch * statistics.median(seconds["trainer"])
    difference = max(
        (epoch_end.weights[name] - weights).abs().max().item()
        for name, weights in bare.classifier.net.state_dict().items()
    )
    print(f"Trainer / bare loop: {ratio}")
    print(
        f"an epoch's end: {epoch_end.seconds:.2f} s, {100 * epoch_end.seconds / epoch:.2f} % of an "
        f"epoch of {EPOCH_IMAGES:,} images"
    )
    print(f"largest difference of their weights after {total_steps} steps: {difference:.1e}")
    print_closing_line("trainer_overhead", ratio.median)


if __name__ == "__main__":
    main()
