"""The network and the weights of a checkpoint are checked before memory is allocated."""

import pytest
import torch

from vgg_lit.checkpoints.storage import write_checkpoint
from vgg_lit.checkpoints.weights import check_fit, net_weights, read_trained
from vgg_lit.classifier import Classifier
from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.system.weightless import weightless

SMALL = {"num_classes": 10, "in_channels": 1, "width": 1 / 32, "head": "linear"}


@pytest.fixture
def refused(tiny_run, tmp_path):
    """`refused(change)`: the error message for a run's checkpoint after `change`."""

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


def test_a_checkpoint_of_a_run_is_read_with_its_network(tiny_run):
    checkpoint = read_trained(tiny_run.checkpoint())
    net = build("vgg13_bn", **SMALL)
    net.load_state_dict(net_weights(checkpoint["state_dict"]))
    assert checkpoint["hyper_parameters"]["model"]["variant"] == "vgg13_bn"


def test_net_weights_selects_the_networks_tensors():
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


def test_complex_weights_are_refused(refused):
    def change(content):
        state = content["state_dict"]
        state.update({k: w.to(torch.complex64) for k, w in state.items() if w.ndim == 4})

    assert "weight is complex64, not float32" in refused(change)


def test_a_setting_that_the_network_refuses_is_named_with_the_file(tiny_run, tmp_path):
    content = torch.load(tiny_run.checkpoint(), weights_only=True)
    content["hyper_parameters"]["small_map_gemm"] = [1]
    write_checkpoint(content, tmp_path / "changed.ckpt")
    with pytest.raises(InputError, match=r"changed\.ckpt: mode=\[1\]: unknown"):
        Classifier.load_from_checkpoint(tmp_path / "changed.ckpt")


def test_an_expanded_value_is_refused(refused):
    """In a network it would need the memory of its shape, not the bytes of the file."""

    def change(content):
        content["state_dict"]["net.more"] = torch.zeros(1).expand(10**7)

    assert "expanded to many times the size of the file" in refused(change)


def test_classes_that_are_not_names_are_refused(refused):
    def change(content):
        content["hyper_parameters"]["classes"] = [1, 2]

    assert "its classes are not a list of names" in refused(change)


def test_classes_that_the_network_does_not_have_are_refused(refused):
    def change(content):
        content["hyper_parameters"]["classes"] = ["a", "b"]

    assert "does not map images of 1 x 32 x 32 to 2 classes" in refused(change)


def test_check_fit_gives_a_meta_network_the_dtypes_of_the_weights():
    weights = build("vgg11", **SMALL).half().state_dict()
    with weightless():
        net = build("vgg11", **SMALL)
    check_fit(net, weights)
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float16}
    assert all(parameter.is_meta for parameter in net.parameters())
    del weights["fc6.weight" if "fc6.weight" in weights else next(iter(weights))]
    with pytest.raises(InputError, match="weights do not fit the network: "):
        check_fit(net, weights)
