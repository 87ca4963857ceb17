"""Networks that do not fit their data are refused before any process starts."""

from types import SimpleNamespace

import pytest
from torch import nn

from vgg_lit.config.network_checks import (
    check_batch_norm,
    check_last_batch,
    check_model,
    check_network,
)
from vgg_lit.errors import ConfigError
from vgg_lit.models.data_arguments import DataShape

SPEC = {"_target_": "vgg_lit.models.build", "variant": "vgg11_bn", "head": "linear", "width": 0.1}
SHAPE = DataShape(num_classes=3, in_channels=1, image_size=32)


def test_the_network_takes_the_shape_of_the_data_and_has_no_memory():
    model, net = check_network(SPEC, SHAPE)
    assert (model["num_classes"], model["in_channels"], model["image_size"]) == (3, 1, 32)
    assert {parameter.device.type for parameter in net.parameters()} == {"meta"}
    assert "num_classes" not in SPEC


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variant": "vgg12"}, "vgg12"),
        ({"width": -1}, "width=-1"),
        ({"_target_": "torch.nn.Softmax2d"}, "logits"),
        ({"_target_": "torch.optim.SGD"}, "model"),
        ({"in_channels": 3}, "in_channels"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line(change, words):
    spec = {**SPEC, **change}
    if change.get("_target_"):
        spec = change
    with pytest.raises(ConfigError) as refused:
        check_network(spec, SHAPE)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_images_that_are_too_small_for_the_pools_are_refused():
    with pytest.raises(ConfigError, match="image_size"):
        check_model(SPEC, DataShape(num_classes=3, in_channels=1, image_size=16))


def test_a_target_that_builds_no_network_is_refused():
    with pytest.raises(
        ConfigError, match=r"^model\._target_=torch\.nn\.Parameter: is not a torch\.nn\.Mod"
    ):
        check_model({"_target_": "torch.nn.Parameter"}, SHAPE)


def test_weights_beyond_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("vgg_lit.system.hardware.memory_bytes", lambda: 2**10)
    with pytest.raises(
        ConfigError, match=r"^model: the weights need 0 GiB; this machine has 0 GiB"
    ):
        check_model(SPEC, SHAPE)


def on_meta(*layers):
    return nn.Sequential(*layers).to("meta")


def with_norm():
    """A network for images of 8 pixels."""
    return on_meta(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 4), nn.BatchNorm1d(4))


def without_norm():
    return on_meta(nn.Conv2d(1, 2, 3))


def settings(batch_size=1, find_batch_size=False, side=8, **trainer):
    defaults = {"devices": 1, "accelerator": "cpu", "num_nodes": 1, "sync_batchnorm": False}
    data = {"batch_size": batch_size, "image_size": side}
    config = SimpleNamespace(data=data, find_batch_size=find_batch_size)
    return config, SimpleNamespace(**{**defaults, **trainer})


@pytest.fixture(autouse=True)
def processes(monkeypatch):
    monkeypatch.setattr(
        "vgg_lit.system.hardware.count_processes", lambda devices, accelerator: devices
    )
    monkeypatch.setattr(
        "vgg_lit.system.hardware.count_devices", lambda accelerator: (accelerator, 2)
    )


@pytest.mark.parametrize(
    ("batch_size", "trainer", "smallest"),
    [(1, {}, 2), (2, {"devices": 2}, 4), (6, {"devices": 2, "num_nodes": 3}, 12)],
)
def test_one_image_for_each_process_is_refused_with_batch_norm(batch_size, trainer, smallest):
    with pytest.raises(ConfigError, match=rf"needs more than .*; set data\.batch_size={smallest} "):
        check_batch_norm(with_norm(), *settings(batch_size, **trainer))
    check_batch_norm(with_norm(), *settings(2 * batch_size, **trainer))
    check_batch_norm(without_norm(), *settings(batch_size, **trainer))


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 2, "devices": 2, "accelerator": "gpu", "sync_batchnorm": True},
        {"find_batch_size": True},
        {"side": None},
        {"batch_size": None},
    ],
)
def test_other_settings_may_train(options):
    check_batch_norm(with_norm(), *settings(**options))


def test_synchronised_norms_of_one_process_have_one_image():
    with pytest.raises(ConfigError, match="batch norm needs more than one image; set"):
        check_batch_norm(with_norm(), *settings(accelerator="gpu", sync_batchnorm=True))


def test_frozen_norms_take_one_image():
    net = with_norm()
    net[3].requires_grad_(False)
    check_batch_norm(net, *settings())
    assert not net[3].training


def test_a_norm_over_maps_takes_one_image():
    check_batch_norm(on_meta(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), *settings())


@pytest.mark.parametrize(
    "net", [on_meta(nn.Flatten(), nn.Linear(3, 1)), on_meta(nn.Conv2d(1, 2, 99))]
)
def test_networks_with_other_input_are_left_to_the_training(net):
    check_batch_norm(net, *settings())


def test_the_last_batch_of_a_custom_data_module_is_checked():
    trainer = {"devices": 2, "accelerator": "cpu", "num_nodes": 1}
    check_last_batch(with_norm(), (8, 4), 8, trainer)
    check_last_batch(without_norm(), (8, 2), 8, trainer)
    message = r"^data: a training batch of 3 for 2 processes leaves one image for each.*drop_last"
    with pytest.raises(ConfigError, match=message):
        check_last_batch(with_norm(), (8, 3), 8, trainer)
