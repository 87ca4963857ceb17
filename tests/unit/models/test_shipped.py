"""The trained weights in the package."""

import runpy
from pathlib import Path

import pytest
import torch
import yaml

from vgg_lit.checkpoints.weights import net_weights, read_trained
from vgg_lit.errors import InputError
from vgg_lit.models import fast_vgg
from vgg_lit.models.shipped import FILE, SHIPPED, is_shipped, shipped_folder
from vgg_lit.models.variants import FAST_VGG, VARIANTS

LARGEST = 4_000_000
"""Bytes of a file of weights."""


@pytest.mark.parametrize("name", SHIPPED)
def test_fast_vgg_has_the_shipped_weights(name):
    folder = shipped_folder(name)
    assert (folder / FILE).stat().st_size <= LARGEST
    checkpoint = read_trained(folder / FILE)
    expected = net_weights(checkpoint["state_dict"])
    found = fast_vgg(weights=name).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert {tensor.dtype for tensor in found.values()} <= {torch.float32, torch.int64}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_of_shipped_weights_states_their_origin(name):
    folder = shipped_folder(name)
    card = (folder / "README.md").read_text(encoding="utf-8")
    classes = read_trained(folder / FILE)["hyper_parameters"]["classes"]
    assert ", ".join(classes) in card
    assert f"weights={name}" in card
    for private in ("/work", "/home", "/root"):
        assert private not in card + (folder / "config.yaml").read_text(encoding="utf-8")


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    name = next(iter(SHIPPED))
    file = tmp_path / name / FILE
    file.parent.mkdir(parents=True)
    content = bytearray((shipped_folder(name) / FILE).read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    monkeypatch.setattr("vgg_lit.models.shipped.FOLDER", tmp_path)
    with pytest.raises(InputError, match="missing or damaged; install vgg_lit again"):
        shipped_folder(name)


def test_an_unknown_name_and_options_beside_weights_are_refused():
    with pytest.raises(InputError, match=r"unknown weights 'cifar'\. Did you mean 'cifar10'"):
        fast_vgg(weights="cifar")
    with pytest.raises(InputError, match="weights=cifar10 allows no option, such as width"):
        fast_vgg(weights="cifar10", width=0.5)


def test_without_weights_fast_vgg_takes_the_options_of_build():
    net = fast_vgg(num_classes=3, in_channels=1, width=0.25)
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


def test_a_folder_of_the_user_takes_precedence_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_shipped("cifar10")
    (tmp_path / "cifar10").mkdir()
    assert not is_shipped("cifar10")


def test_the_network_is_that_of_the_config():
    file = Path(__file__).parents[3] / "conf" / "model" / "fast_vgg.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    del config["defaults"]
    config["norm_eps"] = float(config["norm_eps"])  # YAML 1.1 reads 1e-12 as text
    assert config == FAST_VGG


def test_torch_hub_offers_the_network_and_every_variant():
    found = runpy.run_path(str(Path(__file__).resolve().parents[3] / "hubconf.py"))
    networks = {name for name, value in found.items() if callable(value)}
    assert networks == {"fast_vgg", *VARIANTS}
    assert found["vgg11"](num_classes=2, width=0.02).num_classes == 2
