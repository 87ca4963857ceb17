"""Counting devices and choosing the precision for the machine."""

import gc
import sys
import weakref
from types import SimpleNamespace

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.system import hardware
from vgg_lit.system.hardware import (
    control_group_limits,
    count_devices,
    matmul_rate,
    memory_bytes,
    release_device_memory,
    resolve_precision,
    seed_device,
)


@pytest.fixture
def machine(monkeypatch):
    """`machine(gpus=1, capability=(8, 0))`: a machine with these devices and CPU features."""

    def machine(gpus=0, capability=(0, 0), mps=False, cpu=(), cores=4, gfx=None):
        monkeypatch.setattr(torch.version, "hip", "7.1" if gfx else None)
        properties = SimpleNamespace(gcnArchName=gfx)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(hardware, "cpu_features", lambda: frozenset(cpu))
        monkeypatch.setattr(hardware, "count_cores", lambda: cores)

    return machine


@pytest.mark.parametrize(
    ("options", "precision", "reason"),
    [
        ({"gpus": 1, "capability": (9, 0)}, "bf16-mixed", "CUDA capability 9.0"),
        ({"gpus": 1, "capability": (8, 0)}, "bf16-mixed", "CUDA capability 8.0"),
        ({"gpus": 1, "capability": (7, 5)}, "32-true", "CUDA capability 7.5"),
        (
            {"gpus": 1, "capability": (9, 0), "gfx": "gfx906:sramecc+:xnack-"},
            "32-true",
            "gfx906 has",
        ),
        (
            {"gpus": 1, "capability": (9, 4), "gfx": "gfx942:sramecc+:xnack-"},
            "bf16-mixed",
            "gfx942",
        ),
        ({"gpus": 1, "capability": (10, 3), "gfx": "gfx1030"}, "32-true", "gfx1030 has no bf16"),
        ({"gpus": 1, "capability": (11, 0), "gfx": "gfx1100"}, "bf16-mixed", "gfx1100"),
        ({"cpu": ["avx2", "amx_bf16"]}, "bf16-mixed", "amx_bf16"),
        ({"cpu": ["avx512_bf16"]}, "bf16-mixed", "avx512_bf16"),
        ({"cpu": ["avx2", "avx512f"]}, "32-true", "no bf16"),
        ({"mps": True, "cpu": ["amx_bf16"]}, "32-true", "mps"),
    ],
)
def test_auto_precision_follows_the_hardware(machine, options, precision, reason):
    machine(**options)
    chosen, why = resolve_precision("auto", "auto")
    assert chosen == precision
    assert reason in why


@pytest.mark.parametrize(
    ("devices", "precision"),
    [
        *((1, "bf16-mixed"), (2, "32-true"), ("auto", "32-true")),
        *(([0, 2], "bf16-mixed"), ([1], "32-true")),
    ],
)
def test_the_weakest_gpu_in_use_decides(devices, precision, machine, monkeypatch):
    machine(gpus=3)
    capabilities = [(9, 0), (7, 5), (8, 6)]
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capabilities[device.index]
    )
    assert resolve_precision("auto", "gpu", devices)[0] == precision


def test_a_configured_precision_is_kept(machine):
    machine(gpus=1, capability=(7, 0))
    assert resolve_precision("bf16-mixed", "gpu") == ("bf16-mixed", "as configured")


def test_auto_precision_on_a_configured_cpu(machine):
    machine(gpus=1, capability=(9, 0), cpu=[])
    assert resolve_precision("auto", "cpu")[0] == "32-true"


def test_auto_prefers_the_gpu_then_mps_then_the_cpu(machine):
    machine(gpus=2, mps=True)
    assert count_devices("auto") == ("gpu", 2)
    machine(mps=True)
    assert count_devices("auto") == ("mps", 1)
    machine(cores=6)
    assert count_devices("auto") == ("cpu", 6)


def test_one_core_counts_as_two_devices(machine):
    machine(cores=1)
    assert count_devices("cpu") == ("cpu", 2)


@pytest.mark.parametrize(
    ("accelerator", "options", "allowed"),
    [
        ("gpu", {}, "cpu, auto"),
        ("cuda", {"mps": True}, "cpu, mps, auto"),
        ("mps", {"gpus": 1}, "cpu, gpu, auto"),
    ],
)
def test_a_missing_device_is_refused_with_the_available_ones(
    machine, accelerator, options, allowed
):
    machine(**options)
    with pytest.raises(InputError, match=f"accelerator={accelerator}: .*allowed here: {allowed}$"):
        count_devices(accelerator)


def test_features_of_this_cpu_are_names():
    features = hardware.cpu_features()
    assert features or not sys.platform.startswith("linux")
    assert all(isinstance(name, str) and name for name in features)


def test_matmul_rate_is_plausible_and_draws_no_random_number():
    state = torch.get_rng_state()
    rate = matmul_rate(torch.float32, torch.device("cpu"))
    assert 1e8 < rate < 1e15
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_device_equals_manual_seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        wanted = torch.rand(3)
        seed_device(7, torch.device("cpu"))
        assert torch.equal(torch.rand(3), wanted)


def test_seeding_a_cpu_stores_nothing_for_unused_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "_lazy_call", lambda *_, **__: pytest.fail("kept for later"))
    with torch.random.fork_rng(devices=[]):
        seed_device(7, torch.device("cpu"))


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, [1000]),  # in a container, version 2
        ("0::/\n", {"memory.max": "max\n"}, []),
        ("0::/a/b\n", {"a/memory.max": "2000\n", "a/b/memory.max": "max\n"}, [2000]),
        ("0::/a/b\n", {"memory.max": "9000\n", "a/b/memory.max": "500\n"}, [500, 9000]),
        (
            "4:cpu,cpuacct:/job\n3:memory:/job\n",
            {"memory/job/memory.limit_in_bytes": "700\n", "cpu/job/memory.limit_in_bytes": "1\n"},
            [700],
        ),
        ("3:memory:/docker/1f\n", {"memory/memory.limit_in_bytes": "800\n"}, [800]),
        ("5:pids:/x\n", {"memory.max": "10\n"}, []),
    ],
)
def test_limits_of_control_groups_are_read(groups, files, limits, tmp_path):
    file = tmp_path / "proc/self/cgroup"
    file.parent.mkdir(parents=True)
    file.write_text(groups)
    for name, text in files.items():
        limit = tmp_path / "sys/fs/cgroup" / name
        limit.parent.mkdir(parents=True, exist_ok=True)
        limit.write_text(text)
    assert control_group_limits(tmp_path) == limits


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert control_group_limits(tmp_path) == []


def test_the_memory_of_this_process_is_the_lowest_limit(monkeypatch):
    whole = memory_bytes()
    monkeypatch.setattr(hardware, "control_group_limits", lambda: [2**20, 2**60])
    assert memory_bytes() == (2**20 if whole < float("inf") else whole)


def test_memory_is_released_to_the_device(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "empty_cache", lambda: calls.append(alive() is None))
    holder = torch.nn.Module()
    holder.__dict__["own"] = holder  # only the garbage collector frees it
    alive = weakref.ref(holder)
    gc.disable()
    try:
        del holder
        release_device_memory()
    finally:
        gc.enable()
    assert calls == [True]  # after the objects are gone


def test_the_rate_of_smaller_products_is_measured_without_memory_for_large_ones(monkeypatch):
    sides, randn = [], torch.randn

    def limited(side, *arguments, **options):
        sides.append(side)
        if side > 300:
            raise torch.OutOfMemoryError("out of memory")
        return randn(side, *arguments, **options)

    monkeypatch.setattr(torch, "randn", limited)
    assert hardware.matmul_rate(torch.float32, torch.device("cpu")) > 0
    assert sides == [1024, 512, 256, 256]
    monkeypatch.setattr(hardware, "SMALLEST_SIDE", 512)
    with pytest.raises(torch.OutOfMemoryError):
        hardware.matmul_rate(torch.float32, torch.device("cpu"))


def test_device_memory_is_limited_for_a_time(monkeypatch):
    fractions = [1.0]
    faked = {
        "get_per_process_memory_fraction": lambda device: fractions[-1],
        "set_per_process_memory_fraction": lambda fraction, device: fractions.append(fraction),
        "mem_get_info": lambda device: (600, 1000),
        "memory_reserved": lambda device: 100,
    }
    for name, function in faked.items():
        monkeypatch.setattr(torch.cuda, name, function)
    with hardware.limited_device_memory(torch.device("cuda"), share=0.9, spare=30):
        assert fractions == pytest.approx([1.0, 0.6])
    with hardware.limited_device_memory(torch.device("cpu"), share=0.9, spare=30):
        pass
    assert fractions == pytest.approx([1.0, 0.6, 1.0])
