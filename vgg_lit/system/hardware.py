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
        return "cpu", max(2, count_cores())
    available = mps if accelerator == "mps" else gpus
    if not available:
        raise InputError(
            f"trainer.accelerator={accelerator}: this machine has none that torch can use; "
            f"allowed here: {', '.join(['cpu', *['gpu'] * bool(gpus), *['mps'] * bool(mps)])}, auto"
        )
    return accelerator, available


def device_type(accelerator: str) -> str:
    """Returns the torch device type behind `trainer.accelerator`, such as `cuda`.

    Raises:
        InputError: there is no such device on this machine.
    """
    kind, _ = count_devices(accelerator)
    return {"gpu": "cuda"}.get(kind, kind)


def count_processes(devices: int | str | list[int], accelerator: str) -> int:
    """Processes on this machine that `trainer.devices` asks for, one a device; `auto` on a CPU is one."""
    if devices == "auto":
        kind, available = count_devices(accelerator)
        return 1 if kind == "cpu" else available
    return len(devices) if isinstance(devices, list) else int(devices)


def count_cores() -> int:
    """Cores this process may run on: a container often has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> float:
    """The memory of this machine; without limit where the system does not say."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


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

    The best of at most ten products after one to warm up, begun within 0.3 seconds. Draws from no
    global random state. A convolution may do better than this on a CPU whose matrix product does not.
    """
    side = {"cpu": 1024, "cuda": 8192}.get(device.type, 4096)
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2)
    )

    def seconds() -> float:
        synchronise(device)
        start = time.perf_counter()
        torch.matmul(left, right)
        synchronise(device)
        return time.perf_counter() - start

    seconds()
    best, until = seconds(), time.perf_counter() + 0.3
    for _ in range(9):
        if time.perf_counter() > until:
            break
        best = min(best, seconds())
    return 2 * side**3 / best


def synchronise(device: torch.device) -> None:
    """Waits for the work a device still has to do; a CPU has done it by the time it is asked."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seed_device(seed: int, device: torch.device) -> None:
    """Seeds the random numbers that torch draws on one device, dropout's among them.

    For every kind of GPU that the process does not use, `torch.manual_seed` would also keep the seed and
    a traceback for later, in every step of a run on a CPU.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    elif device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.manual_seed(seed)


def tune_process(kind: str) -> None:
    """Sets what makes training fast on a kind of device of `count_devices`, for the whole process.

    On a CPU freed memory is kept. On CUDA float32 matrix products are computed in TF32 (10 bits of
    mantissa, float32's range), as torch lets cuDNN's convolutions be by default.
    """
    if kind == "cpu":
        keep_freed_memory()
    elif kind in ("gpu", "cuda"):
        # Not the newer `torch.backends.*.fp32_precision`: reading the older setting afterwards, as
        # Lightning does, is an error.
        torch.set_float32_matmul_precision("high")


def keep_freed_memory() -> None:
    """Lets glibc keep large freed blocks for the next step rather than give each back to the system.

    A training step frees and allocates the same activations again; by default those above 32 MB are
    mapped each time and their pages filled with zeros anew (VGG-16-bn at a quarter of its width, batch
    512, fp32: 71,000 page faults a step, then 2,700). The process holds on to the most it ever needed:
    10 % more resident memory there. Elsewhere than on glibc this does nothing.

    Not by a higher threshold for mapping: the manual allows no more than 32 MB.

    Source: mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        trim_threshold, mmap_max = -1, -4
        mallopt(trim_threshold, -1)  # never
        mallopt(mmap_max, 0)
