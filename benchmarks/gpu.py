"""Checks and measures vgg_lit on a GPU; the table at the end can be pasted into an issue.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu      # small, to try the command
    python tests/null_gpu/null_runtime.py benchmarks/gpu.py

Correctness is first: a step, its logits and its random draws against the CPU, a deterministic training
that is resumed, out of memory, the commands, compiled training. Then speed: images per second against a
typical script and against the rate of a matrix product, kernel launches, waits and memory of a step, and
the ten kernels that take most of its time. A check that is not done after `--budget` seconds is left out.

On a CPU, and on a null GPU, whose kernels do not run, all sizes are small. The last line is the number of
failed checks.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from device_checks import NETWORKS, Commands, Result, checked, same_draws, same_step
from measurement import print_closing_line, print_header, resolve_device, synchronise
from torch.profiler import ProfilerActivity, profile
from training import build, compose, terminal, trainer_for
from usual_script import compare

PROFILED_FROM, PROFILED_STEPS = 10, 5
"""The first profiled step, and the number of profiled steps."""

VERBS = (
    ("evaluate", "flip=true", "scales=[32,40]", "dense=true"),
    ("visualize", "embeddings=32", "images=4"),
    ("export", "formats=[safetensors,torch_export]"),
)
"""Commands that read a run."""


class Profiled(L.Callback):
    """Profiles some steps of a fit.

    Attributes:
        seconds: seconds of a step, with the work of the device.
        host_seconds: seconds of a step until the host has launched its work.
        peak_bytes: largest memory of the device in use; 0 on a CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = self.host_seconds = 0.0
        self.peak_bytes = 0
        self._device = device
        self._start = 0.0
        activities = [ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Starts or stops the profile."""
        if index == PROFILED_FROM - 1:
            synchronise(self._device)
            self._profile.start()
            self._start = time.perf_counter()
        elif index == PROFILED_FROM + PROFILED_STEPS - 1:
            self.host_seconds = (time.perf_counter() - self._start) / PROFILED_STEPS
            synchronise(self._device)
            self.seconds = (time.perf_counter() - self._start) / PROFILED_STEPS
            self._profile.stop()
            if self._device.type == "cuda":
                self.peak_bytes = torch.cuda.max_memory_allocated(self._device)

    def count(self, *names: str) -> float:
        """Returns the calls per step of runtime functions whose names contain one of `names`."""
        events = self._profile.key_averages()
        calls = sum(e.count for e in events if any(name in e.key for name in names))
        return calls / PROFILED_STEPS

    def longest(self, most: int = 10) -> list[tuple[str, float]]:
        """Returns the kernels that take most time, and their milliseconds per step."""
        on_gpu = self._device.type == "cuda"
        events = self._profile.key_averages()
        time_of = {
            e.key: e.self_device_time_total if on_gpu else e.self_cpu_time_total
            for e in events
            if not on_gpu or "CUDA" in str(e.device_type)
        }
        rows = sorted(time_of.items(), key=lambda item: -item[1])[:most]
        return [(name, microseconds / 1000 / PROFILED_STEPS) for name, microseconds in rows]


def profile_steps(overrides: Sequence[str], device: torch.device) -> Profiled:
    """Fits a config for some steps and profiles the last ones."""
    steps = PROFILED_FROM + PROFILED_STEPS
    config = compose(
        *(trainer_for(device), "data.val_fraction=0", "trainer.max_epochs=1", "logger=none"),
        *(f"trainer.limit_train_batches={steps}", *overrides),
    )
    profiled = Profiled(device)
    with terminal(), tempfile.TemporaryDirectory() as folder:
        classifier, datamodule, trainer = build(config, Path(folder))
        trainer.callbacks.append(profiled)  # type: ignore[attr-defined]
        trainer.fit(classifier, datamodule=datamodule)
    return profiled


def speed(batch: int, settings: Sequence[str], args: argparse.Namespace) -> str:
    """Returns the images per second of each setting at a batch size."""
    return "; ".join(
        f"{side.name}: {side.rate:,.0f} images/s, {side.ratio.median:.2f} x the usual script, "
        f"{100 * side.rate / side.ceiling:.0f} % of the matrix product's rate"
        for side in compare(batch, settings, args)
    )


def step(overrides: Sequence[str], device: torch.device, kernels: list[tuple[str, float]]) -> str:
    """Returns launches, waits and memory of a step; adds the longest kernels to a list."""
    found = profile_steps(overrides, device)
    kernels += found.longest()
    text = f"{1e3 * found.seconds:.2f} ms"
    if device.type == "cpu" or not kernels:  # a null GPU has no profiler
        return text
    launches = found.count("LaunchKernel", "GraphLaunch")
    waits = found.count("StreamSynchronize", "DeviceSynchronize", "EventSynchronize")
    return (
        f"{text}, host {1e3 * found.host_seconds:.2f} ms, {launches:.0f} launches, {waits:.0f} "
        f"waits, {found.peak_bytes / 2**20:.0f} MiB at most"
    )


def print_markdown(rows: Sequence[Result], kernels: Sequence[tuple[str, float]]) -> None:
    """Prints the tables in Markdown."""
    print("| check | result | seconds |\n|---|---|---:|")
    for row in rows:
        print(f"| {row.name} | {row.text.replace('|', '/')} | {row.seconds:.0f} |")
    print("\n| kernels that take most of a step | ms |\n|---|---:|")
    for name, milliseconds in kernels:
        print(f"| `{name[:90].replace('|', '/')}` | {milliseconds:.3f} |")
    print()


def main() -> None:
    """Runs the checks and measurements; the exit code is 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--budget", type=float, default=420, help="seconds (%(default)s)")
    args = parser.parse_args()
    device = resolve_device(args.device)
    is_null = "NULL_GPU_LIBRARY" in os.environ
    is_small = device.type == "cpu" or is_null
    # before the first matrix product, as deterministic algorithms need it
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    print_header("checks, then speed" + ", small" * is_small, device)

    model, batches = ("vgg11_bn", (8,)) if is_small else ("vgg16_bn", (128, 512, 2048))
    settings = ["trainer.precision=auto"]
    if not is_small:
        settings += [
            f"trainer.precision=auto compile={mode}" for mode in ("true", "reduce-overhead")
        ]
    sizes = argparse.Namespace(
        device=device.type,
        model=model,
        data=None,
        steps=1 if is_small else 10,
        repeats=1 if is_small else 3,
    )
    kernels: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        commands = Commands(Path(folder), device, has_values=not is_null)
        checks: dict[str, Callable[[], str]] = {}
        if device.type != "cpu" and not is_null:
            checks["draws"] = partial(same_draws, device)
            checks |= {f"step, {name}": partial(same_step, name, device) for name in NETWORKS}
        checks["resume"] = commands.resumes_to_the_bit
        checks["commands"] = partial(commands.reads_a_run, VERBS)
        if device.type != "cpu":
            checks["out of memory"] = commands.runs_out_of_memory
        if not is_small:
            modes = ("true", "reduce-overhead", "max-autotune")
            checks |= {f"compile={mode}": partial(commands.compiles, mode) for mode in modes}
        profiled = [f"model={model}", f"data.batch_size={batches[0]}", "augment=flip_crop"]
        profiled += ["model.width=0.125"] * is_small
        checks[f"a step, {model}, batch {batches[0]}"] = partial(step, profiled, device, kernels)
        for batch in batches:
            checks[f"speed, {model}, batch {batch}"] = partial(speed, batch, settings, sizes)
        rows, start = [], time.perf_counter()
        for name, check in checks.items():
            is_late = time.perf_counter() - start > args.budget
            rows.append(Result(name, "left out", 0) if is_late else checked(name, check))
            print(f"{name}: {rows[-1].text} ({rows[-1].seconds:.1f} s)", flush=True)
    print()
    print_markdown(rows, kernels)
    failed = sum(not row.is_ok for row in rows)
    print_closing_line("gpu", failed)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
