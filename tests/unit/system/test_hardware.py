"""Counting devices and choosing the precision for the machine."""

import sys

import pytest
import torch

from vgg_lit.errors import InputError
from vgg_lit.system import hardware
from vgg_lit.system.hardware import (
    count_devices,
    matmul_rate,
    resolve_precision,
    seed_device,
)


@pytest.fixture
def machine(monkeypatch):
    """`machine(gpus=1, capability=(8, 0))`: a machine with these devices and CPU features."""

    def machine(gpus=0, capability=(0, 0), mps=False, cpu=(), cores=4):
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
