"""Loaders of decoded batches: with workers, through pipes, and without workers."""

import pytest
import torch
from torch.utils.data import Dataset, get_worker_info

from vgg_lit.data import decoding_loader as module
from vgg_lit.data.decoding_loader import (
    IncompleteBatch,
    SharingCollate,
    checked,
    decoded_batches,
    decoding_loader,
    restored,
)
from vgg_lit.errors import InputError
from vgg_lit.system import shared_memory

BATCHES = [[0, 1], [2, 3]]


class Decoder(Dataset):
    def __init__(self, free=float("inf")):
        self.free = free

    def __getitems__(self, positions):
        if get_worker_info():  # a spawned worker does not inherit what a test has replaced
            shared_memory.free_bytes = lambda folder: self.free
        images = torch.tensor(positions, dtype=torch.uint8)
        if 2 in positions:
            return IncompleteBatch(images, {2: "2.png: damaged"}, {2: "damaged"})
        return images


@pytest.mark.parametrize("free", [0, float("inf")])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_batches_are_the_same_on_any_way(num_workers, free, capsys):
    shared_memory.warn_once.cache_clear()
    first, second = decoded_batches(decoding_loader(Decoder(free), BATCHES, num_workers))
    assert first.tolist() == [0, 1]
    assert isinstance(second, IncompleteBatch)
    assert second.images.tolist() == [2, 3]
    assert ("sent through pipes" in capsys.readouterr().err) == (num_workers and free == 0)
    shared_memory.warn_once.cache_clear()


def test_a_damaged_image_is_an_error():
    with pytest.raises(InputError, match=r"2\.png: damaged"):
        list(checked(decoding_loader(Decoder(), BATCHES, 0)))


def test_the_main_process_decodes_if_no_worker_can_start(monkeypatch, capsys):
    monkeypatch.setattr(module, "has_semaphores", lambda: False)
    shared_memory.warn_once.cache_clear()
    loader = decoding_loader(Decoder(), BATCHES, 1)
    assert loader.num_workers == 0
    assert "the main process decodes" in capsys.readouterr().err
    shared_memory.warn_once.cache_clear()


def test_a_collate_function_that_finds_no_shared_memory_builds_the_batch_elsewhere(monkeypatch):
    """As `default_collate` in a worker; the second batch has the random numbers of the first."""
    info = object()
    monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda: info)
    draws = []

    def collate(samples):
        draws.append(torch.rand(1).item())
        if torch.utils.data.get_worker_info() is not None:
            raise RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space"
            )
        return [torch.stack(samples), torch.tensor([1])]

    images, labels = restored(SharingCollate(collate)([torch.zeros(2), torch.ones(2)]))
    assert images.tolist() == [[0, 0], [1, 1]]
    assert labels.tolist() == [1]
    assert draws[0] == draws[1]
    assert len(draws) == 2
    assert torch.utils.data.get_worker_info() is info


def test_other_errors_of_a_collate_function_are_not_hidden():
    def collate(samples):
        raise RuntimeError("stack expects each tensor to be equal size")

    with pytest.raises(RuntimeError, match="equal size"):
        SharingCollate(collate)([])
