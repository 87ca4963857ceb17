"""Tensors go through shared memory if they fit, else as arrays through pipes, with one warning."""

import os

import numpy as np
import pytest
import torch

from vgg_lit.system import shared_memory


@pytest.fixture
def free_bytes(monkeypatch):
    """`free_bytes(n)`: sets the free bytes of shared memory."""
    shared_memory.warn_once.cache_clear()
    yield lambda free: monkeypatch.setattr(shared_memory, "free_bytes", lambda folder: free)
    shared_memory.warn_once.cache_clear()


def test_a_tensor_that_fits_is_shared(free_bytes, capsys):
    free_bytes(2**21)
    shared = shared_memory.share(torch.ones(5, dtype=torch.uint8))
    assert isinstance(shared, torch.Tensor)
    assert shared.is_shared()
    assert shared_memory.received(shared) is shared
    assert not capsys.readouterr().err


def test_a_tensor_that_does_not_fit_becomes_an_array_with_one_warning(free_bytes, capsys):
    free_bytes(2**20)
    sent = shared_memory.share(torch.arange(5, dtype=torch.uint8))
    assert isinstance(sent, np.ndarray)
    for _ in range(2):
        assert shared_memory.received(sent).tolist() == [0, 1, 2, 3, 4]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {shared_memory.FOLDER} is too small for the batches")
    assert "--shm-size" in line


def test_the_file_of_a_failed_allocation_is_removed(free_bytes, monkeypatch, tmp_path):
    free_bytes(float("inf"))
    monkeypatch.setattr(shared_memory, "FOLDER", tmp_path)
    left = tmp_path / "torch_1_2_3"
    left.touch()

    def full(tensor):
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space"
        )

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    assert isinstance(shared_memory.share(torch.ones(5)), np.ndarray)
    assert not left.exists()


def test_semaphores_are_missing_if_they_cannot_be_created(monkeypatch):
    assert shared_memory.has_semaphores()

    def full():
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(shared_memory.multiprocessing, "Lock", full)
    assert not shared_memory.has_semaphores()
