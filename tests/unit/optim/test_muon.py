"""Muon: orthogonal updates of filters, SGD with Nesterov momentum for the rest."""

import copy

import pytest
import torch
from torch import nn

from vgg_lit.models import build
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.optim.muon import Muon, orthogonalise
from vgg_lit.targets import ConfigError

SPEC = {"_target_": "vgg_lit.optim.Muon", "lr": 0.2, "sgd_lr": 0.1}


def network():
    torch.manual_seed(0)
    return build([[6, 4]], num_classes=3, image_size=8, batch_norm=True, head="linear")


def set_gradients(net, seed=0):
    draws = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draws)


@pytest.mark.parametrize("shape", [(16, 144), (64, 27), (8, 8)])
def test_singular_values_end_near_1_in_the_same_directions(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = orthogonalise(matrix, steps=5).float()
    inside = (left.T @ found @ right.T).diagonal()
    large = values > 0.1 * values.max()
    assert inside[large].min() > 0.5
    assert inside[large].max() < 1.4
    torch.testing.assert_close(
        found, orthogonalise(1000 * matrix, steps=5).float(), atol=0.06, rtol=0
    )


def test_the_iteration_is_its_polynomial():
    values = torch.tensor([0.6, 0.5, 0.3, 0.1])
    expected = values / values.norm()
    for _ in range(3):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = orthogonalise(torch.diag(values), steps=3).float()
    torch.testing.assert_close(found, torch.diag(expected), atol=0.05, rtol=0)  # bf16


def test_a_filter_bank_is_rescaled_and_moves_by_the_rate():
    net = network()
    conv = net.layer("block1_conv2")
    before = conv.weight.detach().clone()
    set_gradients(net)
    momentum = conv.weight.grad * (1 + 0.6)  # Nesterov, at the first step
    build_optimizer({**SPEC, "momentum": 0.6}, net).step()
    expected = before * 2 / before.norm() - 0.2 * orthogonalise(momentum.flatten(1), 3).view(
        before.shape
    )
    torch.testing.assert_close(conv.weight.detach(), expected, atol=2e-3, rtol=0)


def test_the_others_move_as_torchs_sgd_moves_them():
    net = network()
    theirs = copy.deepcopy(net)
    rate, decay = 0.1, 0.004
    ours = build_optimizer({**SPEC, "sgd_momentum": 0.85, "weight_decay": decay}, net)
    others = [p for p in theirs.parameters() if p.ndim != 4]
    sgd = torch.optim.SGD(others, rate, momentum=0.85, nesterov=True, weight_decay=decay / rate)
    for seed in range(3):
        for one, optimizer in ((net, ours), (theirs, sgd)):
            set_gradients(one, seed)
            optimizer.step()
    for found, expected in zip((p for p in net.parameters() if p.ndim != 4), others, strict=True):
        torch.testing.assert_close(found, expected)


def test_groups_have_their_rates_and_decay_does_not_depend_on_them():
    net = network()
    optimizer = build_optimizer({**SPEC, "weight_decay": 0.01, "layer_rates": {"fc2": 10}}, net)
    rates = [(g.get("name"), g["is_muon"], g["lr"]) for g in optimizer.param_groups]
    assert rates == [
        *((None, True, 0.2), (None, False, 0.1)),  # convolutions; biases and norms
        *(("fc2", False, 1.0), ("fc2", False, 1.0)),  # weight; bias
    ]
    apart = build_optimizer({**SPEC, "fc_lr": 3.0}, network())
    assert [g["lr"] for g in apart.param_groups] == [0.2, 3.0, 0.1]
    fc, before = net.layer("fc2"), net.layer("fc2").weight.detach().clone()
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(fc.weight.detach(), before * (1 - 0.01 * 1.85))


def test_a_schedule_keeps_the_decay_in_proportion_to_the_rate():
    net = network()
    optimizer = build_optimizer({**SPEC, "weight_decay": 0.01, "sgd_momentum": 0.0}, net)
    made = build_scheduler({"_target_": "vgg_lit.optim.linear"}, optimizer, Steps(2, 1))
    for share in (1, 0.5):
        before = net.layer("fc2").weight.detach().clone()
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        made["scheduler"].step()
        expected = before * (1 - 0.01 * share)
        torch.testing.assert_close(net.layer("fc2").weight.detach(), expected)


def test_it_goes_on_from_its_state_to_the_bit():
    net = network()
    optimizer = build_optimizer(SPEC, net)
    set_gradients(net, 0)
    optimizer.step()
    other = copy.deepcopy(net)
    resumed = build_optimizer(SPEC, other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((net, optimizer), (other, resumed)):
        set_gradients(one, 1)
        its.step()
    for found, expected in zip(other.parameters(), net.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_a_step_that_is_not_finite_is_left_out(bad):
    net = network()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = build_optimizer(SPEC, net)
    set_gradients(net)
    optimizer.found_inf = torch.tensor(bad)
    optimizer.step()
    moved = [not torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True)]
    assert all(moved) if bad == 0 else not any(moved)


def test_it_returns_what_a_closure_returns():
    layer = nn.Linear(2, 1)
    assert Muon(layer.parameters()).step(lambda: layer(torch.ones(1, 2)).sum()).requires_grad


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("lr", 0.0), ("sgd_lr", -1.0), ("fc_lr", 0.0), ("momentum", 1.0), ("sgd_momentum", -0.1)),
        *(("steps", 0), ("weight_decay", -1.0)),
    ],
)
def test_a_value_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=rf"^optimizer\.{option}={value}: must be "):
        build_optimizer({**SPEC, option: value}, network())
