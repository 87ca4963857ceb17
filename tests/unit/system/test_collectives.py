"""Flags that ranks exchange, with two ranks simulated in one process."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vgg_lit.system import collectives
from vgg_lit.system.collectives import Agreement, gather

FLAGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12)


class World:
    """Two ranks, numbered by their groups; a wait is allowed once both have sent."""

    ReduceOp = torch.distributed.ReduceOp

    def __init__(self):
        self.sent = [], []
        self.ranks = [self._rank(number) for number in range(2)]

    def _rank(self, number):
        agreement = Agreement(None)
        agreement._group = number
        return agreement

    def all_reduce(self, tensor, op, group, async_op):
        assert async_op
        turn = len(self.sent[group])
        self.sent[group].append((tensor, int(tensor)))

        def wait():
            tensor.fill_(max(self.sent[rank][turn][1] for rank in range(2)))

        return SimpleNamespace(wait=wait)


@contextmanager
def two_ranks():
    """Yields the agreements of two ranks; both have to send before one of them waits."""
    with pytest.MonkeyPatch.context() as patch:
        world = World()
        fake = SimpleNamespace(all_reduce=world.all_reduce, ReduceOp=world.ReduceOp)
        patch.setattr(collectives, "dist", fake)
        yield world.ranks


def steps(flags):
    """The results of `exchange` on both ranks."""
    with two_ranks() as ranks:
        return [tuple(map(Agreement.exchange, ranks, step)) for step in flags]


@settings(deadline=None)
@given(FLAGS)
def test_ranks_act_on_the_same_flag_at_the_same_step(flags):
    results = steps(flags)
    assert all(first == second for first, second in results)
    before = 0
    for (agreed, _), flag in zip(results, flags, strict=True):
        assert agreed == before  # the largest flag of the step before
        before = 0 if agreed else max(flag)


def test_a_flag_of_one_rank_reaches_both_one_step_later():
    assert steps([(0, 0), (0, 2), (0, 0), (0, 0)]) == [(0, 0), (0, 0), (2, 2), (0, 0)]


def test_many_ranks_exchange_the_flag_every_few_steps():
    with two_ranks() as ranks:
        for rank in ranks:
            rank._every = 3
        flags = [(0, 0), (0, 0), (0, 0), (0, 5), (0, 5), (0, 5), (0, 5), (0, 5), (0, 5)]
        found = [tuple(map(Agreement.exchange, ranks, step)) for step in flags]
    assert found == [(0, 0)] * 8 + [(5, 5)]


def test_one_process_agrees_at_once():
    alone = Agreement(None)
    assert [alone.exchange(flag) for flag in (0, 2, 1)] == [0, 2, 1]
    assert alone.settle(3) == 3


def test_one_process_gathers_its_own_content():
    content = {"a": 1}
    assert gather(content) == [content]
