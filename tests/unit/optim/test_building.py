"""Optimisers of a config: parameter groups, weight decay, layer rates, fused steps."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vgg_lit import optim
from vgg_lit.errors import ConfigError
from vgg_lit.models import build
from vgg_lit.optim import build_optimizer, building
from vgg_lit.optim.building import parameter_groups


def named_decay(net, optimizer):
    """The weight decay of each parameter by name."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(parameter)]: group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize("decay_all", [True, False])
def test_weight_decay_of_norms_and_biases_is_configurable(decay_all):
    net = build("vgg11_bn", num_classes=3, width=0.02, head="linear")
    spec = {
        "_target_": "torch.optim.SGD",
        "lr": 0.1,
        "weight_decay": 0.3,
        "decay_norm_and_bias": decay_all,
    }
    decay = named_decay(net, build_optimizer(spec, net))
    assert set(decay) == {name for name, _ in net.named_parameters()}
    for name, parameter in net.named_parameters():
        is_matrix = parameter.ndim >= 2
        assert decay[name] == (0.3 if is_matrix or decay_all else 0.0), name


def test_frozen_parameters_are_left_out():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    optimizer = build_optimizer({"_target_": "torch.optim.SGD", "lr": 0.1}, net)
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in net[1].parameters()
    ]


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ({"lr": 0}, "optimizer.lr=0"),
        ({"lr": float("inf")}, "optimizer.lr=inf"),
        ({"lr": float("nan")}, "optimizer.lr=nan"),
        ({"lr": 0.1, "momentum": 1.0}, "optimizer.momentum=1"),
        ({"lr": 0.1, "decay_norm_and_bias": "no"}, "optimizer.decay_norm_and_bias=no"),
        ({"lr": 0.1, "nesterov": True}, "Nesterov"),
    ],
)
def test_unusable_optimizer_settings_are_refused(spec, key):
    with pytest.raises(ConfigError) as refused:
        optim.check_optimizer(
            {"_target_": "torch.optim.SGD", **spec}, {"_target_": "vgg_lit.optim.constant"}
        )
    assert key in str(refused.value)


@pytest.mark.parametrize("target", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_torchs_optimisers_are_fused_by_default(target):
    spec = {"_target_": f"torch.optim.{target}", "lr": 0.1}
    net = nn.Linear(2, 2)
    assert build_optimizer(spec, net).param_groups[0]["fused"] is True
    assert not build_optimizer(spec | {"fused": False}, net).param_groups[0]["fused"]
    assert not build_optimizer(spec, net, fused=False).param_groups[0].get("fused")


@pytest.mark.parametrize(
    ("target", "is_fused"), [("SGD", True), ("Adam", True), ("AdamW", True), ("Adagrad", False)]
)
def test_apple_silicon_has_fused_steps(target, is_fused):
    parameter = SimpleNamespace(device=torch.device("mps"))
    assert building._has_fused_step(f"torch.optim.{target}", [parameter]) is is_fused


def test_optimisers_and_devices_without_a_fused_step_are_not_fused():
    assert (
        "fused"
        not in build_optimizer(
            {"_target_": "torch.optim.RMSprop", "lr": 0.1}, nn.Linear(2, 2)
        ).param_groups[0]
    )
    on_meta = nn.Linear(2, 2, device="meta")
    assert not build_optimizer({"_target_": "torch.optim.SGD", "lr": 0.1}, on_meta).param_groups[0][
        "fused"
    ]


def network():
    return build([[2], [3]], image_size=8, head="linear", num_classes=2, batch_norm=True)


def spec(**options):
    return {"_target_": "torch.optim.SGD", "lr": 0.1, **options}


def test_every_trainable_parameter_is_in_one_group():
    net = network()
    net.layer("block2_conv1").requires_grad_(False)
    rates = {"block1": 0.5, "fc3": 2}
    groups = build_optimizer(spec(layer_rates=rates, decay_norm_and_bias=False), net).param_groups
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    assert {group.get("name"): group["lr"] for group in groups} == pytest.approx(
        {None: 0.1, "block1": 0.05, "fc3": 0.2}
    )


def test_the_spec_is_not_changed():
    given = spec(layer_rates={"block1": 0.5}, decay_norm_and_bias=False)
    before = {**given, "layer_rates": {**given["layer_rates"]}}
    build_optimizer(given, network())
    assert given == before


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"block9": 1.0}, r"^optimizer\.layer_rates\.block9: "),
        ({"block1": 0.0}, r"^optimizer\.layer_rates\.block1: factor=0\.0: "),
        ({"block1": float("nan")}, r"^optimizer\.layer_rates\.block1: factor=nan"),
        ({"block1": "fast"}, r"layer_rates"),
        ({"block1": 1.0, "block1_conv1": 0.5}, r"layer_rates\.block1_conv1: overlaps with block1$"),
        ([0.5], r"layer_rates"),
    ],
)
def test_rates_that_cannot_be_applied_are_one_line(rates, message):
    with pytest.raises(ConfigError, match=message) as refused:
        parameter_groups(network(), rates)
    assert "\n" not in str(refused.value)


def test_a_rate_of_a_frozen_layer_is_refused():
    net = network()
    net.layer("fc3").requires_grad_(False)
    with pytest.raises(ConfigError, match=r"layer_rates\.fc3: .*frozen"):
        parameter_groups(net, {"fc3": 0.5})


def test_a_network_of_named_layers_alone_has_no_empty_group():
    net = network()
    names = {f"block{n}": 1.0 for n in (1, 2)} | {"fc3": 1.0}
    assert [group["name"] for group in parameter_groups(net, names)] == ["block1", "block2", "fc3"]


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "two"])
def test_epochs_of_layers_are_whole_numbers_from_1(epochs):
    with pytest.raises(ConfigError, match=r"optimizer\.layer_epochs"):
        build_optimizer(spec(layer_epochs={"block1": epochs}), network())


def test_a_layer_may_have_a_rate_and_epochs():
    optimizer = build_optimizer(
        spec(layer_epochs={"block1": 2}, layer_rates={"block1": 3}), network()
    )
    rest, block1 = optimizer.param_groups
    assert (block1["epochs"], block1["lr"]) == (2, pytest.approx(0.3))
    assert "epochs" not in rest


def test_the_last_fc_layer_is_the_output_whatever_the_groups():
    net = network()
    muon = {"_target_": "vgg_lit.optim.Muon", "lr": 0.1, "hidden_fc": True}
    assert build_optimizer(muon, net)._output is net.layer("fc3").weight
    assert build_optimizer(muon, nn.Sequential(nn.Conv2d(1, 2, 3)))._output is None
