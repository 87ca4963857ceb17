"""The network of a checkpoint is known to fit its weights before room is made for either."""

import pytest
import torch

from vgg_lit.checkpoints.storage import write_checkpoint
from vgg_lit.checkpoints.weights import check_fit, net_weights, read_trained
from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.system.weightless import weightless

SMALL = {"num_classes": 10, "in_channels": 1, "width": 1 / 32, "head": "linear"}


@pytest.fixture
def refused(tiny_run, tmp_path):
    """`refused(change)`: the line for the checkpoint of a run in which `change` has changed something."""

    def refused(change):
        content = torch.load(tiny_run.checkpoint(), weights_only=True)
        change(content)
        file = tmp_path / "changed.ckpt"
        write_checkpoint(content, file)
        with pytest.raises(InputError) as error:
            read_trained(file)
        line = str(error.value)
        assert line.startswith(f"{file}: ")
        assert "\n" not in line
        return line

    return refused


def test_what_training_wrote_is_read(tiny_run):
    checkpoint = read_trained(tiny_run.checkpoint())
    net = build("vgg13_bn", **SMALL)
    net.load_state_dict(net_weights(checkpoint["state_dict"]))
    assert checkpoint["hyper_parameters"]["model"]["variant"] == "vgg13_bn"


def test_only_the_networks_own_are_its_weights():
    state = {"net.fc6.weight": 1, "metrics.total": 2, "network": 3}
    assert net_weights(state) == {"fc6.weight": 1}


@pytest.mark.parametrize("part", ["state_dict", "hyper_parameters"])
def test_a_missing_part_is_named(part, refused):
    assert f"holds no {part}" in refused(lambda content: content.pop(part))


def test_a_missing_network_is_named(refused):
    assert "holds no model" in refused(lambda content: content["hyper_parameters"].pop("model"))


def test_a_weight_of_another_shape_is_named(refused):
    def change(content):
        name = next(iter(net_weights(content["state_dict"])))
        content["state_dict"][f"net.{name}"] = torch.zeros(1, 2, 3)

    assert "weights do not fit the network: " in refused(change)


def test_one_value_spread_out_is_no_tensor_of_weights(refused):
    """Copied into a network it would take the room of its shape, not that of its file."""

    def change(content):
        content["state_dict"]["net.more"] = torch.zeros(1).expand(10**7)

    assert "is smaller than the weights it claims to hold" in refused(change)


def test_classes_that_are_no_names_are_refused(refused):
    def change(content):
        content["hyper_parameters"]["classes"] = [1, 2]

    assert "its classes are no list of names" in refused(change)


def test_classes_that_the_network_does_not_have_are_refused(refused):
    def change(content):
        content["hyper_parameters"]["classes"] = ["a", "b"]

    assert "does not make 2 classes of images of 1 x 32 x 32" in refused(change)


def test_weights_fit_a_network_without_room_and_give_it_their_dtypes():
    weights = build("vgg11", **SMALL).half().state_dict()
    with weightless():
        net = build("vgg11", **SMALL)
    check_fit(net, weights)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float16}
    assert all(parameter.is_meta for parameter in net.parameters())
    del weights["fc6.weight" if "fc6.weight" in weights else next(iter(weights))]
    with pytest.raises(InputError, match="weights do not fit the network: "):
        check_fit(net, weights)
