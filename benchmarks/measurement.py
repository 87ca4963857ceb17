"""Shared code of the benchmarks: header, alternating rounds, medians of paired ratios, closing line.

In every round, each side of a comparison runs one block of steps. Sides are compared within a round,
because a temporary slowdown of the machine affects all sides. The first round and the first step of
each block are not counted.
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table

from vgg_lit.system.environment import describe_environment
from vgg_lit.system.hardware import cpu_features

WARM_STEPS = 1
"""Uncounted steps at the start of a block: the caches contain data of another side."""

WARM_ROUNDS = 1
"""Uncounted rounds at the start: kernels are selected and compiled, buffers allocated."""

Name = TypeVar("Name", bound=Hashable)
T = TypeVar("T")


def argument_parser(doc: str, repeats: int, steps: int | None = None) -> argparse.ArgumentParser:
    """Builds a parser with the options of all benchmarks, described by the first line of `doc`."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats, help="counted rounds (%(default)s)")
    if steps is not None:
        parser.add_argument(
            "--steps", type=int, default=steps, help="steps per block (%(default)s)"
        )
        parser.add_argument(
            "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)"
        )
    return parser


def resolve_device(choice: str) -> torch.device:
    """Returns the device for `--device`; `auto` selects a GPU if there is one."""
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def print_header(settings: str, device: torch.device | str = "cpu") -> None:
    """Prints the hardware, the versions and the settings of the benchmark."""
    environment = describe_environment()
    features = "AMX" if "amx_bf16" in cpu_features() else "no AMX"
    hardware = (
        f"{environment['processor']}, {os.cpu_count()} logical CPUs, "
        f"{torch.backends.cpu.get_cpu_capability()}, {features}, {torch.get_num_threads()} threads"
    )
    if torch.device(device).type == "cuda":
        hardware = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}; {hardware}"
    versions = {
        "python": environment["python"],
        **environment["packages"],
        "vgg_lit": environment["vgg_lit"],
    }
    commit = (environment["git_commit"] or "")[:10]
    state = f" (commit {commit}{', changed' * environment['git_is_dirty']})" if commit else ""
    print(hardware)
    print(", ".join(f"{name} {version}" for name, version in versions.items()) + state)
    if hasattr(os, "getloadavg"):
        print(f"other load before the start: {os.getloadavg()[0]:.2f} processes")
    print(f"{settings}\n", flush=True)


def synchronise(device: torch.device) -> None:
    """Waits for all work on a GPU, so that the clock includes it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_step(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Runs one block; returns the mean seconds of a step."""
    for _ in range(WARM_STEPS):
        step()
    synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    return (time.perf_counter() - start) / steps


def steps_needed(repeats: int, steps: int) -> int:
    """Returns the number of steps of a side in all its blocks."""
    return (WARM_ROUNDS + repeats) * (WARM_STEPS + steps)


def by_turns(sides: Mapping[Name, Callable[[], T]], repeats: int) -> dict[Name, list[T]]:
    """Runs the sides in alternation; returns the results of each side in each counted round."""
    measured: dict[Name, list[T]] = {name: [] for name in sides}
    for round_ in range(-WARM_ROUNDS, repeats):
        for name, measure in sides.items():
            result = measure()
            if round_ >= 0:
                measured[name].append(result)
    return measured


@dataclass(frozen=True)
class Ratio:
    """The ratio of two sides, over all rounds.

    Attributes:
        median: median of the rounds' ratios.
        low: smallest ratio.
        high: largest ratio.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Returns the ratio of two sides that were measured in alternation."""
    quotients = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return Ratio(statistics.median(quotients), min(quotients), max(quotients))


class Elsewhere:
    """A side in a separate process, which the allocator and kernel settings here do not affect.

    It waits while other sides run. Close it at the end.

    Args:
        side: context manager, called in the process with `arguments`; yields a function that runs a
            block.
        arguments: picklable arguments of `side`.
    """

    def __init__(
        self, side: Callable[..., AbstractContextManager[Callable[[], float]]], *arguments: object
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, side, arguments))
        self._process.start()
        theirs.close()  # so that the pipe reports the end of the process

    def block(self) -> float:
        """Runs a block in the process and returns its result."""
        self._pipe.send("block")
        return self._pipe.recv()

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Connection,
    side: Callable[..., AbstractContextManager[Callable[[], float]]],
    arguments: tuple[object, ...],
) -> None:
    with side(*arguments) as block, contextlib.suppress(EOFError):
        while pipe.recv():
            pipe.send(block())


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def print_closing_line(name: str, figure: float) -> None:
    """Prints `<name>: <figure>`, the last line of every benchmark.

    Raises:
        ValueError: the figure is not finite.
    """
    if not math.isfinite(figure):
        raise ValueError(f"{name}: measured {figure}")
    print(f"{name}: {figure:.3f}")
