"""Measures a training step of two processes on this machine, and its exchange of gradients."""

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from all_reduce_model import BUCKET, gradients_of
from measurement import by_turns
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from vgg_lit.models import build


class Measured(NamedTuple):
    """Median seconds in two concurrent processes.

    Attributes:
        sizes: bytes of the single all-reduces.
        single: times of the single all-reduces.
        buckets: time of the all-reduces of a step's buckets, one after another.
        compute: time of a step without gradient exchange.
        step: time of a DDP step.
    """

    sizes: list[float]
    single: list[float]
    buckets: float
    compute: float
    step: float


def training_step(net: nn.Module, images: int, side: int) -> Callable[[], None]:
    """Returns a function that runs one SGD step on random images."""
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    x_BCHW = torch.randn(images, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels_B = torch.zeros(images, dtype=torch.long)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x_BCHW), labels_B).backward()
        optimizer.step()

    return step


def seconds_of(action: Callable[[], object]) -> float:
    """Returns the seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def built(net: str, head: str, args: argparse.Namespace) -> nn.Module:
    """Builds the network in training mode, in fp32."""
    torch.manual_seed(0)
    module = build(net, head=head, image_size=args.side, width=args.width, in_channels=3)
    return module.to(memory_format=torch.channels_last).train()


def one_of_two(
    rank: int, meeting: str, net: str, head: str, args: argparse.Namespace, result: str
) -> None:
    """Runs one process of the check; rank 0 writes the measurements to the file `result`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    module = built(net, head, args)
    ddp = DistributedDataParallel(module, gradient_as_bucket_view=True)
    gradients = gradients_of(net, head, args.side, args.width)
    step = training_step(ddp, args.batch, args.side)
    sizes = [float(BUCKET >> 4), float(BUCKET), max(2.0 * BUCKET, gradients.size)]
    buffers = [torch.zeros(int(size) // 4) for size in sizes]
    parts = [torch.zeros(int(bucket.size) // 4) for bucket in gradients.buckets]

    def alone() -> None:
        with ddp.no_sync():
            step()

    def send_buckets() -> None:
        for part in parts:
            dist.all_reduce(part)

    def timed(action: Callable[[], object]) -> Callable[[], float]:
        def measure() -> float:
            dist.barrier()
            return seconds_of(action)

        return measure

    sides = {"compute": timed(alone), "step": timed(step), "buckets": timed(send_buckets)}
    for index, buffer in enumerate(buffers):
        sides[f"single {index}"] = timed(functools.partial(dist.all_reduce, buffer))
    medians = {
        name: statistics.median(times) for name, times in by_turns(sides, args.repeats).items()
    }
    single = [medians[f"single {index}"] for index in range(len(buffers))]
    if rank == 0:
        found = Measured(sizes, single, medians["buckets"], medians["compute"], medians["step"])
        torch.save(found._asdict(), result)
    dist.destroy_process_group()


def measure_two(net: str, head: str, args: argparse.Namespace) -> Measured:
    """Measures two processes of one thread each; returns the measurements of rank 0."""
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder) / "result")
        arguments = (str(Path(folder) / "meeting"), net, head, args, result)
        mp.spawn(one_of_two, arguments, nprocs=2)
        return Measured(**torch.load(result))
