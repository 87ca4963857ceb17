"""Batch norm counters that advance together."""

import pytest
import torch
from torch import nn

from vgg_lit.models.batch_counters import counted_together, counting_norms


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4)
    )


def test_counters_and_outputs_are_those_of_torch():
    ours, theirs = network(), network()
    norms = counting_norms(ours)
    assert len(norms) == 2
    x = torch.randn(5, 1, 4, 4)
    for _ in range(3):
        with counted_together(norms):
            found = ours(x)
        assert torch.equal(found, theirs(x))
    for (name, ours_), (_, theirs_) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert torch.equal(ours_, theirs_), name


def test_a_layer_in_evaluation_mode_is_not_counted():
    net = network()
    net[1].eval()
    with counted_together(counting_norms(net)):
        net(torch.randn(5, 1, 4, 4))
    assert (net[1].num_batches_tracked, net[4].num_batches_tracked) == (0, 1)


def test_counters_are_restored_after_an_error():
    net = network()
    with pytest.raises(RuntimeError), counted_together(counting_norms(net)):
        raise RuntimeError
    assert len(net.state_dict()) == len(network().state_dict())


def test_layers_that_use_their_counter_keep_it():
    norms = nn.Sequential(
        nn.BatchNorm2d(3, momentum=None),
        nn.SyncBatchNorm(3),
        nn.BatchNorm2d(3, track_running_stats=False),
    )
    assert counting_norms(norms) == []
