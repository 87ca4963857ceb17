"""Muon: orthogonal updates of matrices; SGD with Nesterov momentum or AdamW for the rest."""

import copy

import pytest
import torch

from vgg_lit.models import build
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.optim.orthogonal import orthogonalise
from vgg_lit.targets import ConfigError

SPEC = {"_target_": "vgg_lit.optim.Muon", "lr": 0.2, "sgd_lr": 0.1}
ADAMW = {"_target_": "vgg_lit.optim.MuonAdamW", "lr": 0.2, "adamw_lr": 0.01, "weight_decay": 0.1}
HIDDEN = {"hidden": [5], "batch_norm": True}


def network():
    torch.manual_seed(0)
    return build([[6, 4]], num_classes=3, image_size=8, batch_norm=True, head="linear")


def set_gradients(net, seed=0):
    draws = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draws)


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


@pytest.mark.parametrize("spec", [SPEC, ADAMW])
def test_the_rule_assigns_filters_and_hidden_matrices_to_muon(spec):
    net = build([[6, 4]], num_classes=3, image_size=8, batch_norm=True, head=HIDDEN)
    names = {id(parameter): name for name, parameter in net.named_parameters()}

    def moved_by_muon(**options):
        groups = build_optimizer({**spec, **options}, net).param_groups
        found = [p for group in groups if group["is_muon"] for p in group["params"]]
        return {names[id(parameter)].removesuffix(".weight") for parameter in found}

    filters = {net.layer_paths[f"block1_conv{i}"] for i in (1, 2)}
    hidden, last = (net.layer_paths[name] for name in ("fc2", "fc3"))
    assert moved_by_muon() == filters
    assert moved_by_muon(hidden_fc=True) == {*filters, hidden}
    # the last layer is the last of the network, not of the groups
    assert moved_by_muon(hidden_fc=True, layer_rates={"fc2": 0.5}) == {*filters, hidden}
    apart = build_optimizer({**spec, "hidden_fc": True, "fc_lr": 7.0}, net)
    (group,) = [group for group in apart.param_groups if group["lr"] == 7]
    assert [names[id(p)] for p in group["params"]] == [f"{last}.weight"]


def test_the_others_move_as_torchs_adamw_moves_them():
    net = network()
    theirs = copy.deepcopy(net)
    ours = build_optimizer({**ADAMW, "betas": [0.8, 0.9]}, net)
    others = [p for p in theirs.parameters() if p.ndim != 4]
    adamw = torch.optim.AdamW(others, 0.01, betas=(0.8, 0.9), weight_decay=0.1)
    for seed in range(4):
        for one, optimizer in ((net, ours), (theirs, adamw)):
            set_gradients(one, seed)
            optimizer.step()
    for found, expected in zip((p for p in net.parameters() if p.ndim != 4), others, strict=True):
        torch.testing.assert_close(found, expected)


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


@pytest.mark.parametrize("spec", [SPEC, ADAMW])
def test_it_goes_on_from_its_state_to_the_bit(spec):
    net = network()
    optimizer = build_optimizer(spec, net)
    set_gradients(net, 0)
    optimizer.step()
    other = copy.deepcopy(net)
    resumed = build_optimizer(spec, other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((net, optimizer), (other, resumed)):
        set_gradients(one, 1)
        its.step()
    for found, expected in zip(other.parameters(), net.parameters(), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("spec", [SPEC, ADAMW])
@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_a_step_that_is_not_finite_is_left_out(bad, spec):
    net = network()
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = build_optimizer(spec, net)
    set_gradients(net)
    optimizer.found_inf = torch.tensor(bad)
    optimizer.step()
    moved = [not torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True)]
    assert all(moved) if bad == 0 else not any(moved)
    steps = [state["step"].item() for state in optimizer.state.values() if "step" in state]
    assert set(steps) <= {1.0 - bad}


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


@pytest.mark.parametrize(
    ("option", "value"), [("adamw_lr", 0.0), ("eps", 0.0), ("betas", [0.9, 1.0]), ("lr", -1.0)]
)
def test_a_value_of_the_adamw_form_out_of_range_is_named(option, value):
    with pytest.raises(ConfigError, match=rf"^optimizer\.{option}="):
        build_optimizer({**ADAMW, option: value}, network())


def test_the_step_of_a_filter_bank_does_not_depend_on_the_scale_of_its_gradient():
    """So clipping leaves its length, and scales the step of the others."""
    net, scaled = network(), network()
    for one, factor in ((net, 1.0), (scaled, 0.125)):
        set_gradients(one)
        for parameter in one.parameters():
            parameter.grad *= factor
        build_optimizer({**SPEC, "sgd_lr": 0.1 / factor}, one).step()
    for found, expected in zip(net.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
