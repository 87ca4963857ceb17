"""The hardware of this machine: devices, precision and speed."""

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from vgg_lit.errors import InputError
from vgg_lit.system.operating_system import keep_freed_memory

BF16_GFX = ("gfx908", "gfx90a", "gfx94", "gfx95", "gfx11", "gfx12")
"""Architectures of AMD's GPUs with matrix units for bf16. Their numbers are not CUDA capabilities."""


SMALLEST_SIDE = 256
"""Smallest side of the matrices whose product is measured."""


@cache
def cpu_features() -> frozenset[str]:
    """Returns the instruction sets of this CPU by their usual names, e.g. `amx_bf16`, `avx512_bf16`."""
    if hasattr(torch.cpu, "get_capabilities"):  # newer than torch 2.10
        return frozenset(name for name, has in torch.cpu.get_capabilities().items() if has)
    listed = Path("/proc/cpuinfo")
    return (
        frozenset(listed.read_text(encoding="utf-8").split()) if listed.is_file() else frozenset()
    )


def count_devices(accelerator: str) -> tuple[str, int]:
    """Returns the type and number of devices for `trainer.accelerator`.

    On the CPU a device is a process: one per core and at least two, so that distributed runs can be
    tried on any machine.

    Raises:
        InputError: this machine has no device of that type.
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
            f"trainer.accelerator={accelerator}: torch finds no device of this type; "
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
    """Returns the number of processes on this machine for `trainer.devices`; on a CPU `auto` is 1."""
    if devices == "auto":
        kind, available = count_devices(accelerator)
        return 1 if kind == "cpu" else available
    return len(devices) if isinstance(devices, list) else int(devices)


def count_cores() -> int:
    """Returns the number of cores that this process may use; in a container often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> float:
    """Returns the memory that this process may use, in bytes; infinite if the system does not report it.

    It is the memory of the machine, or the limit of a container or of a cluster job if that is lower.
    """
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return float("inf")
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *control_group_limits()])


def control_group_limits(root: Path = Path("/")) -> list[int]:
    """Returns the memory limits of the control groups of this process, in bytes, in versions 1 and 2.

    Args:
        root: folder with `proc` and `sys`.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    limits = []
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0":
            folder, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        inner = folder / group.lstrip("/")
        # A limit of an outer group holds too. In a container, the folder of the group itself may be hidden.
        for place in (inner, *inner.parents):
            if place.is_relative_to(folder):
                limits += _limit_in(place / name)
    return limits


def _limit_in(file: Path) -> list[int]:
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError:
        return []
    return [int(text)] if text.isdecimal() else []  # `max`: no limit


def release_device_memory() -> None:
    """Returns memory that is no longer used to the device, from torch's cache too."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


@contextmanager
def limited_device_memory(device: torch.device, share: float, spare: int) -> Iterator[None]:
    """Limits what this process may allocate on a CUDA device; other devices have no limit.

    Beyond the limit torch raises `OutOfMemoryError`, as at the end of the memory. Allocations outside of
    torch, such as a CUDA context, are not limited.

    Args:
        device: the device.
        share: share of the free memory that may be used.
        spare: bytes of that share that are left free too.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_per_process_memory_fraction(device)
    free, total = torch.cuda.mem_get_info(device)
    allowed = share * (free + torch.cuda.memory_reserved(device)) - spare
    torch.cuda.set_per_process_memory_fraction(min(before, max(0.0, allowed / total)), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(before, device)


def resolve_precision(
    precision: str, accelerator: str, devices: int | str | Sequence[int] = 1
) -> tuple[str, str]:
    """Resolves `auto` to a precision of Lightning; returns the precision and the reason.

    It is bf16-mixed if the hardware supports it (CUDA capability >= 8.0, an AMD GPU of `BF16_GFX`, CPU
    with AMX-bf16 or AVX512-bf16), otherwise 32-true. Of several GPUs, the weakest decides.

    Args:
        precision: a precision of Lightning, or `auto`.
        accelerator: an accelerator of Lightning, or `auto`.
        devices: number or indices of the devices, or `auto` for all.
    """
    if precision != "auto":
        return precision, "as configured"
    kind, available = count_devices(accelerator)
    indices: Sequence[int] = [0]
    if kind in ("gpu", "cuda"):
        kind = "cuda"
        chosen = range(devices) if isinstance(devices, int) else devices
        gpus = [*range(available)] if isinstance(chosen, str) else [*chosen]
        indices = [gpu for gpu in gpus if gpu < available] or indices
    each = [has_bf16_units(torch.device(kind, index)) for index in indices]
    has_units, reason = min(each)  # False before True
    return "bf16-mixed" if has_units else "32-true", reason


def has_bf16_units(device: torch.device) -> tuple[bool, str]:
    """Returns True if matrix products in bf16 are fast on a device, and the reason.

    Without such units, torch emulates them: on an AMD EPYC with AVX2 alone a product in bf16 took 90 times as
    long as in float32.
    """
    if device.type == "cpu":
        found = [name for name in ("amx_bf16", "avx512_bf16") if name in cpu_features()]
        if found:
            return True, f"this CPU computes in bf16 ({found[0]})"
        return False, "this CPU has no bf16 units"
    if device.type != "cuda":
        return False, f"float32 is fastest on {device.type}"
    if torch.version.hip:
        name = torch.cuda.get_device_properties(device).gcnArchName.partition(":")[0]
        has_units = name.startswith(BF16_GFX)
    else:
        major, minor = torch.cuda.get_device_capability(device)
        name, has_units = f"CUDA capability {major}.{minor}", major >= 8
    return has_units, f"{name} computes in bf16" if has_units else f"{name} has no bf16 units"


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Measures the operations per second of a large matrix product, the reference for a network's step.

    It is the best of at most ten products that start within 0.3 seconds, after one to warm up. The global
    random state is not used. On a CPU with a slow matrix product a convolution may be faster than this.
    The matrices are smaller if there is not enough memory.
    """
    side = {"cpu": 1024, "cuda": 8192}.get(device.type, 4096)
    while True:
        try:
            return _matmul_rate(side, dtype, device)
        except torch.OutOfMemoryError:
            if side <= SMALLEST_SIDE:
                raise
            side //= 2


def _matmul_rate(side: int, dtype: torch.dtype, device: torch.device) -> float:
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(side, side, generator=generator, device=device, dtype=dtype) for _ in range(2)
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
    """Waits until a device has finished its work; does nothing on a CPU, which runs synchronously."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def seed_device(seed: int, device: torch.device) -> None:
    """Seeds torch's random numbers on one device, including those of dropout.

    `torch.manual_seed` would also store the seed and a traceback for every type of GPU that the process
    does not use, in every step of a run on a CPU.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    elif device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.manual_seed(seed)


def tune_process(kind: str) -> None:
    """Applies process-wide settings for fast training on a device type of `count_devices`.

    On a CPU freed memory is kept. On CUDA float32 matrix products are computed in TF32 (10 bits of
    mantissa, float32's range), which is torch's default for cuDNN's convolutions.
    """
    if kind == "cpu":
        keep_freed_memory()
    elif kind in ("gpu", "cuda"):
        # Not the newer `torch.backends.*.fp32_precision`: Lightning reads the older setting, which
        # then raises an error.
        torch.set_float32_matmul_precision("high")
