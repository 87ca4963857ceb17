"""The sources of weights that `init.from` accepts."""

import pickle
import urllib.error
import zipfile
from collections.abc import Mapping

import pytest
import torch
from torchvision import models as torchvision_models

from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.weights.formats import trained_network
from vgg_lit.weights.transfer import copy_layers

VGG11_BN = {"_target_": "vgg_lit.models.build", "variant": "vgg11_bn"}
RESNET18 = {"_target_": "vgg_lit.models.resnet18"}
PUBLISHED = "resnet18-f37072fd.pth"


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory):
    """A state_dict of torchvision's resnet18, the smallest network here, with 1,000 classes."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision_models.resnet18().state_dict(), file)
    return file


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Sets torch.hub to an empty folder and makes every download fail."""

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network here")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    return tmp_path / "hub" / "checkpoints"


def assert_same(state: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]):
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in other)


@pytest.mark.parametrize("name", ["", "checkpoints/last.ckpt"])
def test_a_run_loads_its_best_checkpoint_and_a_file_itself(name, tiny_run):
    net = trained_network(str(tiny_run.path / name), RESNET18)
    expected = tiny_run.load_classifier("last" if name else "best").net
    assert_same(net.state_dict(), expected.state_dict())
    assert net.layer_paths == expected.layer_paths


def test_a_state_dict_loads_into_the_named_network(resnet18_file):
    net = trained_network(str(resnet18_file), RESNET18)
    assert_same(net.state_dict(), torch.load(resnet18_file))
    assert net.fc.out_features == 1000


def test_the_number_of_classes_is_read_from_a_state_dict(tmp_path):
    torch.save(torchvision_models.resnet18(num_classes=3).state_dict(), tmp_path / "few.pth")
    assert trained_network(str(tmp_path / "few.pth"), RESNET18).fc.out_features == 3


def vgg11_bn_of_torchvision():
    """A full-size state_dict; every tensor is filled with one number."""
    with torch.device("meta"):
        shapes = torchvision_models.vgg11_bn().state_dict()
    return {
        name: torch.full(tensor.shape, float(place), dtype=tensor.dtype)
        for place, (name, tensor) in enumerate(shapes.items())
    }


def test_imagenet_weights_copy_into_a_net_for_ten_grey_classes(tmp_path):
    state = {name: tensor.to(torch.int64) if "num" in name else tensor.bfloat16() for name, tensor in vgg11_bn_of_torchvision().items()}  # fmt: skip
    torch.save(state, tmp_path / "vgg11_bn.pth")
    source = trained_network(str(tmp_path / "vgg11_bn.pth"), VGG11_BN)
    assert source.num_classes == 1000
    net = build("vgg11_bn", num_classes=10, in_channels=1)
    transfer = copy_layers(net, source)
    assert transfer.fresh == ("fc8",)
    assert torch.equal(net.layer("fc7").weight, state["classifier.3.weight"].float())
    assert (net.layer("block1_conv1").bias == state["features.0.bias"][0].float()).all()
    assert net.layer("fc8").out_features == 10


def test_downloaded_torchvision_weights_are_reused(no_network, resnet18_file):
    no_network.mkdir(parents=True)
    (no_network / PUBLISHED).write_bytes(resnet18_file.read_bytes())
    net = trained_network("torchvision", RESNET18)
    assert_same(net.state_dict(), torch.load(resnet18_file))


def test_a_failed_download_names_the_file_and_its_place(no_network):
    with pytest.raises(InputError, match="no network here") as refused:
        trained_network("torchvision", RESNET18)
    message = str(refused.value)
    assert f"https://download.pytorch.org/models/{PUBLISHED}" in message
    assert str(no_network / PUBLISHED) in message
    assert "init.from=<file>" in message
    assert "\n" not in message


@pytest.mark.parametrize("model", [VGG11_BN, RESNET18])
def test_the_meta_device_needs_no_download(no_network, model):
    net = trained_network("torchvision", model, device="meta")
    assert all(parameter.is_meta for parameter in net.parameters())


def test_a_state_dict_is_checked_on_the_meta_device(resnet18_file):
    net = trained_network(str(resnet18_file), RESNET18, device="meta")
    assert net.fc.weight.is_meta
    with pytest.raises(InputError, match="do not fit a VGG"):
        trained_network(str(resnet18_file), VGG11_BN, device="meta")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (
            {"variant": "vgg16_1x1"},
            "publishes no weights for vgg16_1x1; allowed: vgg11, .* resnet50",
        ),
        ({"variant": [[64]]}, r"publishes no weights for \[\[64\]\]"),
        ({"_target_": "my_package.MyNet"}, "publishes no weights for MyNet"),
    ],
)
def test_networks_without_torchvision_weights_are_reported(model, complaint):
    with pytest.raises(InputError, match=complaint):
        trained_network("torchvision", model)


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no file of torch's", "damaged, or not a file of weights"),
        (Hostile(), "contains exec, which is not loaded because it can execute code; save the weights"),
        ([1, 2], "not a state dict"),
        ({"epoch": 3}, "not a state dict"),
        ({"features.0.weight": torch.zeros(2)}, "a ResNet: missing: conv1.weight, .* unknown: features.0.weight"),
    ],
    ids=["damaged", "hostile", "list", "other mapping", "other network"],
)  # fmt: skip
def test_an_invalid_weights_file_is_one_line(content, complaint, tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(content) if isinstance(content, bytes) else torch.save(content, file)
    with pytest.raises(InputError, match=complaint) as refused:
        trained_network(str(file), RESNET18)
    assert "\n" not in str(refused.value)
    assert "weights.pth" in str(refused.value)


def test_a_state_dict_of_a_resnet_does_not_load_into_a_vgg(tmp_path, resnet18_file):
    with pytest.raises(
        InputError, match=r"do not fit a VGG: the file has other layers \(conv1, bn1"
    ):
        trained_network(str(resnet18_file), {"variant": [[4]]})


@pytest.mark.parametrize("origin", ["nowhere", "logs/none.ckpt", "none.pth"])
def test_a_missing_origin_is_one_line(origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=f"no such file or directory: {origin}; allowed: a run directory"
    ):
        trained_network(origin, RESNET18)


def test_a_folder_without_a_run_and_a_damaged_checkpoint_are_reported(tmp_path):
    with pytest.raises(InputError, match="is not a run directory"):
        trained_network(str(tmp_path), RESNET18)
    (tmp_path / "bad.ckpt").write_bytes(b"bad")
    with pytest.raises(InputError, match="is damaged"):
        trained_network(str(tmp_path / "bad.ckpt"), RESNET18)


def test_parts_that_share_bytes_are_not_read(tmp_path, monkeypatch):
    file = tmp_path / "other.ckpt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps("x" * 10_000))
        (part,) = archive.filelist
        archive.filelist += [part] * 100
    read = zipfile.ZipFile.read
    monkeypatch.setattr(
        zipfile.ZipFile, "read", lambda *arguments: pytest.fail(f"read {read(*arguments)[:9]!r}")
    )
    with pytest.raises(InputError, match="its parts are compressed"):
        trained_network(str(file), RESNET18)
