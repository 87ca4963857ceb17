"""How the benchmarks measure: a header, repeats by turns, medians of paired ratios, a closing line.

The sides of a comparison run by turns, each a block of steps in every round, and are compared
within a round: what slows the machine for a while slows them all. Of a block the first step is not
counted, nor is the first round.
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
"""Steps at the start of a block that are not counted: the caches hold what another side left."""

WARM_ROUNDS = 1
"""Rounds that are not counted: kernels are chosen and compiled, buffers allocated."""

Name = TypeVar("Name", bound=Hashable)
T = TypeVar("T")


def argument_parser(doc: str, repeats: int, steps: int | None = None) -> argparse.ArgumentParser:
    """A parser with what the benchmarks have in common; the first line of `doc` describes it."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "--repeats", type=int, default=repeats, help="rounds that count (%(default)s)"
    )
    if steps is not None:
        parser.add_argument("--steps", type=int, default=steps, help="in a block (%(default)s)")
        parser.add_argument(
            "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(%(default)s)"
        )
    return parser


def resolve_device(choice: str) -> torch.device:
    """The device that `--device` names; `auto` is a GPU where there is one."""
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def print_header(settings: str, device: torch.device | str = "cpu") -> None:
    """Prints the hardware, the versions and what the benchmark was told."""
    environment = describe_environment()
    features = "AMX" if "amx_bf16" in cpu_features() else "no AMX"
    hardware = (
        f"{environment['processor']}, {os.cpu_count()} cores, "
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
    """Waits until a GPU has done what was asked of it, so that the clock sees it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_step(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Mean seconds of a step in one block."""
    for _ in range(WARM_STEPS):
        step()
    synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    return (time.perf_counter() - start) / steps


def steps_needed(repeats: int, steps: int) -> int:
    """Steps that a side takes in all its blocks."""
    return (WARM_ROUNDS + repeats) * (WARM_STEPS + steps)


def by_turns(sides: Mapping[Name, Callable[[], T]], repeats: int) -> dict[Name, list[T]]:
    """What each side measured in each round that counts."""
    measured: dict[Name, list[T]] = {name: [] for name in sides}
    for round_ in range(-WARM_ROUNDS, repeats):
        for name, measure in sides.items():
            result = measure()
            if round_ >= 0:
                measured[name].append(result)
    return measured


@dataclass(frozen=True)
class Ratio:
    """Quotients of two sides, each of one round.

    Attributes:
        median: of the rounds.
        low: of the rounds, the smallest.
        high: of the rounds, the largest.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """The ratio of two sides that were measured by turns."""
    quotients = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return Ratio(statistics.median(quotients), min(quotients), max(quotients))


class Elsewhere:
    """A side in a process of its own: what this one sets, of allocator or kernels, is not for it.

    It waits while the others have their turn. Close it in the end.

    Args:
        side: called there with `arguments`; a context in which its value runs a block.
        arguments: what a process can be sent.
    """

    def __init__(
        self, side: Callable[..., AbstractContextManager[Callable[[], float]]], *arguments: object
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, side, arguments))
        self._process.start()
        theirs.close()  # so that its end is seen here

    def block(self) -> float:
        """What a block gives there."""
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
    """Prints a table: the first column is text, the others figures."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def print_closing_line(name: str, figure: float) -> None:
    """Prints `<name>: <figure>`, the last line of every benchmark.

    Raises:
        ValueError: the figure is no number, which nobody should take for a result.
    """
    if not math.isfinite(figure):
        raise ValueError(f"{name}: measured {figure}")
    print(f"{name}: {figure:.3f}")
