"""Folded batch norm: the same function and layer names, without batch norm layers."""

import pytest
import torch
from torch import nn

from vgg_lit.models import build, efficientnet_b0, resnet18
from vgg_lit.models.folding import count_batch_norms, fold_batch_norm


def trained(net):
    """The network in evaluation mode, with batch norm statistics as after training."""
    draws = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(generator=draws).mul_(0.1)
            module.running_var.uniform_(0.5, 2, generator=draws)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=draws)
            nn.init.normal_(module.bias, std=0.1, generator=draws)
    return net.eval()


def agree(net, folded, x):
    with torch.no_grad():
        expected = net(x)
        difference = (folded(x) - expected).abs().max()
    return difference <= 1e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("head", ["imagenet", "cifar", "linear", "gap"])
@pytest.mark.parametrize("variant", ["vgg11_bn", "vgg16_1x1_bn"])
def test_a_vgg_is_the_same_function_without_batch_norm(variant, head):
    net = trained(build(variant, num_classes=7, width=1 / 16, head=head, image_size=32))
    folded = fold_batch_norm(net)
    assert count_batch_norms(folded) == 0
    assert agree(net, folded, torch.randn(3, 3, 32, 32))


def test_folding_changes_neither_the_network_nor_layer_names():
    net = trained(build("vgg11_bn", num_classes=7, width=1 / 16, head="cifar"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    folded = fold_batch_norm(net.train())
    assert net.training
    assert not folded.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert isinstance(folded.layer("block1_bn1"), nn.Identity)
    assert set(folded.state_dict()) < set(before)
    assert all(value.dtype == torch.float32 for value in folded.state_dict().values())


def test_a_network_without_batch_norm_is_unchanged():
    net = build("vgg11_lrn", num_classes=7, width=1 / 16, head="linear").eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(fold_batch_norm(net)(x), net(x))


@pytest.mark.parametrize("make", [resnet18, efficientnet_b0])
def test_other_networks_are_traced(make):
    net = trained(make(num_classes=5, image_size=32))
    folded = fold_batch_norm(net)
    assert count_batch_norms(net) > 15
    assert count_batch_norms(folded) == 0
    assert agree(net, folded, torch.randn(2, 3, 32, 32))


class Branching(nn.Module):
    """Batch norm that cannot be folded: as the first layer, and on maps that are also used without it."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.shared = nn.Conv2d(4, 4, 1)
        self.shared_norm = nn.BatchNorm2d(4)

    def forward(self, x):
        maps = self.conv(self.first(x))
        once = self.shared_norm(self.shared(maps + self.norm(maps)))
        return self.shared(once)


class Untraceable(nn.Sequential):
    def forward(self, x):
        return super().forward(x if float(x.sum()) > 0 else -x)


def test_batch_norm_that_cannot_be_folded_is_kept():
    net = trained(Branching())
    folded = fold_batch_norm(net)
    assert count_batch_norms(folded) == 3
    assert agree(net, folded, torch.randn(2, 3, 8, 8))


def test_an_untraceable_network_keeps_its_batch_norm():
    net = trained(Untraceable(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    folded = fold_batch_norm(net)
    assert count_batch_norms(folded) == 1
    assert agree(net, folded, torch.randn(2, 3, 8, 8))
