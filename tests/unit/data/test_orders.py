"""The order of images over epochs and ranks."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgg_lit.data.orders import PADDING, EvaluationOrder, TrainingOrder
from vgg_lit.errors import InputError

CASES = [(17, 4), (12, 4), (40, 8), (100, 12), (6, 6)]


def epoch_batches(order, epoch=0):
    """The positions of each batch of a rank."""
    return [batch.tolist() for batch in order.positions(epoch).split(order.batch_size)]


@pytest.mark.parametrize(("n", "batch_size"), CASES)
@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_two_ranks_split_the_global_batches_of_one(n, batch_size, epoch):
    whole = epoch_batches(TrainingOrder(n, batch_size, 3), epoch)
    ranks = [epoch_batches(TrainingOrder(n, batch_size, 3, r, 2), epoch) for r in (0, 1)]
    assert len(whole) == n // batch_size
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole
    assert len(set(itertools.chain(*whole))) == n // batch_size * batch_size


def test_the_order_is_a_function_of_seed_and_epoch():
    order = TrainingOrder(40, 8, 0)
    first = epoch_batches(order, 0)
    assert epoch_batches(order, 1) != first
    assert epoch_batches(order, 0) == first
    assert epoch_batches(TrainingOrder(40, 8, 1), 0) != first
    repeated = TrainingOrder(40, 8, 0, reshuffle=False)
    assert epoch_batches(repeated, 5) == first


@pytest.mark.parametrize("n", range(12, 18))
@pytest.mark.parametrize("batch_size", range(1, 7))
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_counts_every_image_once(n, batch_size, world_size):
    orders = [EvaluationOrder(n, batch_size, rank, world_size) for rank in range(world_size)]
    ranks = [epoch_batches(order) for order in orders]
    shapes = [[len(batch) for batch in batches] for batches in ranks]
    assert all(shape == shapes[0] for shape in shapes)
    assert all(len(order) == len(shapes[0]) for order in orders)
    assert max(shapes[0]) == -(-batch_size // world_size)
    ids = list(itertools.chain(*itertools.chain(*ranks)))
    assert sorted(i for i in ids if i != PADDING) == list(range(n))
    padding = [sum(i == PADDING for i in itertools.chain(*batches)) for batches in ranks]
    assert max(padding) <= (0 if world_size == 1 else 1)


def test_a_batch_size_not_divisible_by_the_ranks_is_refused():
    with pytest.raises(InputError, match=r"batch_size=100.*3 processes.*99 or 102"):
        TrainingOrder(1000, 100, 0, 0, 3)
    with pytest.raises(InputError, match=r"batch_size=1: .*: 4$"):
        TrainingOrder(1000, 1, 0, 0, 4)


def test_a_batch_larger_than_the_subset_is_refused():
    with pytest.raises(InputError, match="batch_size=64: larger than the 10 training images"):
        TrainingOrder(10, 64, 0)


def test_a_batch_larger_than_the_training_split_is_refused():
    with pytest.raises(InputError, match=r"data\.batch_size=16: larger than the 9 .*=8 or less"):
        TrainingOrder(9, 16, 0, 0, 2)


@given(n=st.integers(1, 60), batch_size=st.integers(1, 20), world_size=st.integers(1, 4))
def test_all_ranks_have_batches_of_one_number_and_no_image_twice(n, batch_size, world_size):
    batch_size = min(batch_size * world_size, n // world_size * world_size)
    if not batch_size:
        return
    orders = [TrainingOrder(n, batch_size, 0, rank, world_size) for rank in range(world_size)]
    assert {len(order) for order in orders} == {n // batch_size}
    for order in orders:
        batches = epoch_batches(order, 2)
        assert len(batches) == len(order)
        assert {len(batch) for batch in batches} == {batch_size // world_size}
    visited = torch.cat([order.positions(2) for order in orders])
    assert visited.dtype == torch.int64
    assert len(set(visited.tolist())) == len(visited)


def test_fewer_images_than_ranks_are_refused_or_padded():
    with pytest.raises(InputError, match=r"data\.batch_size=4: larger than the 3 training images"):
        TrainingOrder(3, 4, 0, 0, 4)
    assert [epoch_batches(EvaluationOrder(3, 4, rank, 4)) for rank in range(4)] == [
        [[0]],
        [[1]],
        [[2]],
        [[PADDING]],
    ]
