"""The functional network gives the same logits as the modules, for every variant and head."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vgg_lit.models import HEADS, VARIANTS, build
from vgg_lit.models.functional import forward
from vgg_lit.models.variants import LRN

HEAD_OPTIONS = [*HEADS, {"hidden": [256], "pool": 2}]


def trained(net: nn.Module) -> nn.Module:
    """The net without default values, so that the test detects a missed bias or statistic."""
    for name, tensor in net.state_dict().items():
        if "num_batches" not in name and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5)
    return net


@torch.no_grad()
@pytest.mark.parametrize("head", HEAD_OPTIONS, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_functional_network_equals_the_modules(variant, head):
    torch.manual_seed(0)
    options = {"num_classes": 7, "width": 1 / 8, "image_size": 64, "init": "paper"}
    net = trained(build(variant, head=head, **options))
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    x_BCHW = torch.randn(3, 3, 64, 64)
    for training in (False, True):
        logits_BK = forward(params, x_BCHW, variant, head=head, training=training)
        assert logits_BK.std(dim=0).mean() > 1e-6  # otherwise constant logits would pass
        assert torch.equal(logits_BK, net.train(training)(x_BCHW))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_functional_network_of_a_plan(batch_norm):
    torch.manual_seed(0)
    plan = [[(8, 5), "LRN"], [(6, 1), 6]]
    net = trained(build(plan, head="linear", num_classes=3, batch_norm=batch_norm)).eval()
    x_BCHW = torch.randn(2, 3, 32, 32)
    logits_BK = forward(net.state_dict(), x_BCHW, plan, head="linear", batch_norm=batch_norm)
    torch.testing.assert_close(logits_BK, net(x_BCHW), rtol=0, atol=0)


def test_training_mode_does_not_change_the_running_statistics():
    net = build([[4]], head="linear", num_classes=3, batch_norm=True)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    forward(
        net.state_dict(),
        torch.randn(4, 3, 32, 32),
        [[4]],
        head="linear",
        batch_norm=True,
        training=True,
    )
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_gradients_reach_every_parameter():
    net = build("vgg11_bn", head="cifar", num_classes=3, width=1 / 16)
    x_BCHW = torch.randn(4, 3, 32, 32)
    params = dict(net.named_parameters())
    F.cross_entropy(
        forward(params, x_BCHW, "vgg11_bn", head="cifar", training=True), torch.tensor([0, 1, 2, 0])
    ).backward()
    assert all(parameter.grad is not None for parameter in params.values())


def test_lrn_is_alexnets_formula():
    """b_i = a_i / (k + alpha * sum over 5 neighbouring channels of a_j^2)^beta."""
    a_BCHW = 30 * torch.randn(2, 9, 3, 4, dtype=torch.float64)  # large, so that the sum matters
    b_BCHW = torch.empty_like(a_BCHW)
    for i in range(9):
        neighbours = a_BCHW[:, max(0, i - 2) : min(8, i + 2) + 1]
        b_BCHW[:, i] = a_BCHW[:, i] / (2 + 1e-4 * neighbours.square().sum(dim=1)) ** 0.75
    torch.testing.assert_close(nn.LocalResponseNorm(*LRN)(a_BCHW), b_BCHW)
    torch.testing.assert_close(build("vgg11_lrn", width=0.1).layer("block1_lrn1")(a_BCHW), b_BCHW)
