"""What this machine has: devices, the precision they compute in, and how fast they are."""

import ctypes
import os
import sys
import time
from functools import cache
from pathlib import Path

import torch

from vgg_lit.errors import InputError


@cache
def cpu_features() -> frozenset[str]:
    """Instruction sets of this CPU by their usual names, e.g. `amx_bf16`, `avx512_bf16`."""
    if hasattr(torch.cpu, "get_capabilities"):  # newer than torch 2.10
        return frozenset(name for name, has in torch.cpu.get_capabilities().items() if has)
    listed = Path("/proc/cpuinfo")
    return frozenset(listed.read_text().split()) if listed.is_file() else frozenset()


def count_devices(accelerator: str) -> tuple[str, int]:
    """The kind of device behind `trainer.accelerator` and how many of it there are.

    On the CPU a device is a process: one a core, and two on any machine, so that distributed runs
    can be tried everywhere.

    Raises:
        InputError: there is no such device on this machine.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = int(torch.backends.mps.is_available())
    if accelerator == "auto":
        accelerator = "gpu" if gpus else "mps" if mps else "cpu"
    if accelerator == "cpu":
        return "cpu", max(2, _count_cores())
    available = mps if accelerator == "mps" else gpus
    if not available:
        raise InputError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use; "
            f"allowed here: {', '.join(['cpu', *['gpu'] * bool(gpus), *['mps'] * bool(mps)])}, auto"
        )
    return accelerator, available


def _count_cores() -> int:
    """Cores this process may run on: a container often has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_precision(precision: str, accelerator: str) -> tuple[str, str]:
    """`auto` as a precision of Lightning, and the reason.

    bf16-mixed where the hardware computes in it (CUDA capability >= 8.0, CPU with AMX-bf16 or
    AVX512-bf16), else 32-true.
    """
    if precision != "auto":
        return precision, "as configured"
    kind, _ = count_devices(accelerator)
    if kind in ("gpu", "cuda"):
        major, minor = torch.cuda.get_device_capability()
        if major >= 8:
            return "bf16-mixed", f"CUDA capability {major}.{minor} computes in bf16"
        return "32-true", f"CUDA capability {major}.{minor} has no bf16 units"
    if kind == "cpu":
        found = [name for name in ("amx_bf16", "avx512_bf16") if name in cpu_features()]
        if found:
            return "bf16-mixed", f"this CPU computes in bf16 ({found[0]})"
        return "32-true", "this CPU has no bf16 units"
    return "32-true", f"{kind} is fastest so"


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a large matrix product: what a network's step can come near to.

    The best of ten products after one to warm up, well below a second in all. Draws from no global
    random state. A convolution may do better than this on a CPU whose matrix product does not.
    """
    side = 1024 if device.type == "cpu" else 8192
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2)
    )
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        torch.matmul(left, right)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds[1:])


def keep_freed_memory() -> None:
    """Lets glibc keep large freed blocks for the next step rather than give each back to the system.

    A training step frees and allocates the same activations again; above 32 MB each of them would be
    mapped and its pages filled with zeros anew. Elsewhere than on glibc this does nothing.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold, largest = -1, -3, 2**31 - 1
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(mmap_threshold, largest)
        mallopt(trim_threshold, largest)
