"""Batches of any loader: order, resuming, division over ranks and checks."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from vgg_lit.data.custom_batches import CustomLoader, parts_of
from vgg_lit.data.orders import PADDING
from vgg_lit.errors import InputError


class Jittered(TensorDataset):
    """Adds random numbers of three global generators, as transforms of users do."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + torch.rand(()) + random.random() + np.random.rand(), label  # noqa: NPY002


def loader(split="train", count=20, **options):
    data = Jittered(torch.zeros(count, 1, 4, 4), torch.arange(count) % 5)
    return CustomLoader(DataLoader(data, 6, shuffle=split == "train"), split, 5, seed=0, **options)


def epoch(batches, number=0):
    batches.sampler.set_epoch(number)
    return [(images.double(), labels) for images, labels in batches]


def equal(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for pair in zip(one, other, strict=True)
        for a, b in zip(*pair, strict=True)
    )


def test_an_epoch_is_a_function_of_its_number_and_leaves_the_random_state():
    torch.manual_seed(1)
    state = torch.get_rng_state(), random.getstate()
    first, second = epoch(loader()), epoch(loader(), 1)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    torch.manual_seed(2)
    random.seed(3)
    assert equal(first, epoch(loader()))
    assert not equal(first, second)


def test_a_resumed_epoch_continues():
    batches, resumed = loader(), loader()
    batches.sampler.set_epoch(2)
    walk = iter(batches)
    seen = [next(walk) for _ in range(2)]
    resumed.load_state_dict(batches.state_dict())
    assert equal([*seen, *epoch(resumed, 2)], epoch(loader(), 2))
    assert equal(epoch(resumed, 3), epoch(loader(), 3)), "the next epoch is complete"


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_divide_each_training_batch(world_size):
    ranks = [epoch(loader(rank=rank, world_size=world_size)) for rank in range(world_size)]
    sizes = {tuple(len(labels) for _, labels in batches) for batches in ranks}
    assert len(sizes) == 1
    whole = epoch(loader())
    for number, pieces in enumerate(zip(*ranks, strict=True)):
        images = torch.cat([piece[0] for piece in pieces])
        assert torch.equal(images, whole[number][0][: len(images)])


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_evaluate_each_image_once(world_size):
    ranks = [epoch(loader("val", rank=r, world_size=world_size)) for r in range(world_size)]
    found = torch.cat([labels for batches in ranks for _, labels in batches])
    expected = torch.cat([labels for _, labels in epoch(loader("val"))])
    assert torch.equal(found[found != PADDING].sort().values, expected.sort().values)
    assert len({len(batches) for batches in ranks}) == 1


IMAGES = torch.zeros(4, 3, 8, 8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"image": IMAGES}, r"is a dict; return \(images, labels\)"),
        ((IMAGES,), "is a tuple; return"),
        ((IMAGES, [1, 2, 3, 4]), r"is \(Tensor, list\), not two tensors"),
        ((IMAGES[0], torch.zeros(4).long()), r"images of float32 \(3, 8, 8\); return"),
        ((IMAGES[..., :4], torch.zeros(4).long()), r"images of float32 \(4, 3, 8, 4\)"),
        ((IMAGES > 0, torch.zeros(4).long()), r"images of bool .*allowed: uint8 or float"),
        ((IMAGES, torch.zeros(4)), r"labels of float32 \(4,\); allowed: integers \(4,\)"),
        ((IMAGES, torch.zeros(4, 3).long()), r"labels of int64 \(4, 3\).*argmax\(1\)"),
        ((IMAGES, torch.zeros(3).long()), r"labels of int64 \(3,\); allowed: integers \(4,\)"),
        ((IMAGES, torch.tensor([0, 1, 2, 3])), "labels from 0 to 3; allowed for 3 classes: 0 to 2"),
        ((IMAGES, torch.tensor([-7, 1, 2, 0])), "labels from -7 to 2"),
        ((IMAGES, torch.zeros(4, 5)), "has probabilities of 5 classes, not 3"),
    ],
)
def test_other_batches_are_refused_in_one_line(batch, message):
    with pytest.raises(InputError, match=message) as refused:
        parts_of(batch, "train", 3)
    assert str(refused.value).startswith("data: a batch of train_dataloader ")
    assert "\n" not in str(refused.value)


def test_labels_become_indices_and_mixed_ones_stay():
    assert (
        parts_of((IMAGES, torch.ones(4, 1, dtype=torch.uint8)), "val", 3).labels.tolist() == [1] * 4
    )
    assert parts_of((IMAGES, torch.full((4, 3), 1 / 3)), "train", 3).labels.shape == (4, 3)
    with pytest.raises(InputError, match="labels of float32"):
        parts_of((IMAGES, torch.full((4, 3), 1 / 3)), "val", 3)
    ids = torch.arange(4)
    assert parts_of((IMAGES, ids % 3, ids), "val", 3).ids_B is ids
