"""Statistics of batch norm that are computed again."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from vgg_lit.models import build, freeze
from vgg_lit.models.norm_statistics import recompute_statistics


def batches():
    draws = torch.Generator().manual_seed(0)
    return [torch.randn(4, 3, 8, 8, generator=draws) for _ in range(3)]


def test_they_are_torchs_and_the_mode_is_restored():
    net = build([[4], [6]], num_classes=3, image_size=8, batch_norm=True, head="gap").train()
    net.layer("block1_relu1").eval()
    theirs = copy.deepcopy(net)
    found = recompute_statistics(net, (net(x) for x in batches()))
    update_bn(batches(), theirs)
    assert len(found) == 4
    for name, tensor in theirs.named_buffers():
        torch.testing.assert_close(net.get_buffer(name), tensor)
    assert [m.training for m in net.modules()].count(False) == 1
    assert net.layer("block1_bn1").momentum == 0.1


def test_dropout_is_off_and_frozen_layers_keep_theirs():
    head = {"hidden": [8], "dropout": 0.5}
    net = build([[4], [6]], num_classes=3, image_size=8, batch_norm=True, head=head).train()
    freeze(net, ["block1"])
    state = torch.get_rng_state()
    assert len(recompute_statistics(net, (net(x) for x in batches()))) == 2
    assert torch.equal(torch.get_rng_state(), state)
    assert (net.layer("block1_bn1").running_mean == 0).all()
    assert net.layer("fc3_dropout").training


def test_a_network_without_batch_norm_makes_no_pass():
    assert recompute_statistics(nn.Linear(1, 1), iter([1 / 0 for _ in ()])) == []
