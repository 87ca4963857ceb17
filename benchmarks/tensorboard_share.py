"""Measures the share of training time that the TensorBoard callback takes.

    python benchmarks/tensorboard_share.py                                       # the quick start
    python benchmarks/tensorboard_share.py model=vgg16_bn trainer.max_epochs=10 --images 2000

It runs the fit of the train command with `callbacks=[default,tensorboard]` in this process, in one
thread. The callback's time is that of its hooks, including imports, and of the thread that writes
event files. That thread also writes the logger's metrics, so the share is an upper estimate.

On a CPU, times are CPU times, which exclude other load on the machine. On a GPU, they are wall-clock
times. The last line is the callback's time over that of the whole fit.
"""

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from measurement import print_closing_line, print_header, print_table, resolve_device
from training import build, compose, real_images, terminal, trainer_for

from vgg_lit.callbacks import TensorBoard

Clock = Callable[[], float]

WRITER = "event files, another thread"


class Watch:
    """A timer of a callback's hooks.

    Args:
        callback: callback whose hooks are timed from now on.
        clock: clock in seconds.

    Attributes:
        seconds: total seconds by name of the hook.
    """

    def __init__(self, callback: L.Callback, clock: Clock) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        for name in vars(type(callback)):
            if name.startswith("on_"):
                setattr(callback, name, self._watched(getattr(callback, name), clock))

    def _watched(self, hook: Callable[..., Any], clock: Clock) -> Callable[..., Any]:
        @wraps(hook)
        def watched(*arguments: Any, **options: Any) -> Any:
            start = clock()
            try:
                return hook(*arguments, **options)
            finally:
                self.seconds[hook.__name__] += clock() - start

        return watched


class WriterTime(L.Callback):
    """A callback that reads the CPU time of the event-file thread at the end of training."""

    seconds = 0.0

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reads the time while the thread is alive."""
        for thread in threading.enumerate():
            if type(thread).__name__ == "_AsyncWriterThread" and thread.ident:
                clock = time.pthread_getcpuclockid(thread.ident)
                self.seconds += time.clock_gettime(clock)


def fit(config: dict[str, Any], is_cpu: bool) -> tuple[dict[str, float], float]:
    """Returns the callback's seconds by hook, and those of the whole fit."""
    clock, clock_of_all = (
        (time.thread_time, time.process_time) if is_cpu else (time.perf_counter, time.perf_counter)
    )
    with terminal(), tempfile.TemporaryDirectory() as folder:
        classifier, datamodule, trainer = build(config, Path(folder))
        (callback,) = (c for c in trainer.callbacks if isinstance(c, TensorBoard))  # type: ignore[attr-defined]
        watch, writer = Watch(callback, clock), WriterTime()
        trainer.callbacks.append(writer)  # type: ignore[attr-defined]
        start = clock_of_all()
        trainer.fit(classifier, datamodule=datamodule)
        total = clock_of_all() - start
    if is_cpu:  # on a GPU the thread runs in parallel with the hooks
        watch.seconds[WRITER] = writer.seconds
    return dict(watch.seconds), total


def main() -> None:
    """Prints the seconds of each hook, and the share last."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="overrides of the train command")
    parser.add_argument(
        "--images", type=int, help="number of colour images (default: the embedded grey sample)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args()
    device = resolve_device(args.device)
    torch.set_num_threads(1)
    print_header(f"callbacks=[default,tensorboard] {' '.join(args.overrides)}", device)

    images = real_images(args.images) if args.images else ()
    callbacks = "callbacks=[default,tensorboard]"
    config = compose(*images, trainer_for(device), callbacks, *args.overrides)
    seconds, total = fit(config, device.type == "cpu")
    rows = [
        [name, f"{spent:.3f}", f"{100 * spent / total:.2f}"]
        for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1])
    ]
    print_table("time of the callback", ["", "s", "% of the fit"], rows)
    print(f"the fit: {total:.1f} s")
    print_closing_line("tensorboard_share", sum(seconds.values()) / total)


if __name__ == "__main__":
    main()
