"""Exported programs give the network's logits, for every configuration and head, at any batch size."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from vgg_lit.data import Preprocessing
from vgg_lit.exporting.model import ExportedModel
from vgg_lit.exporting.programs import PixelClassifier, describe_network, write_programs
from vgg_lit.models import HEADS, VARIANTS, build, resnet18
from vgg_lit.models.folding import count_batch_norms, fold_batch_norm

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))),
    reason="needs the extra 'export'",
)
BATCHES = (1, 5)
FAST = [
    ("vgg11_lrn", "gap", False),
    ("vgg16_1x1_bn", "cifar", True),
]


def product():
    """Yields every configuration with every head, with and without folded batch norm."""
    for variant, network in VARIANTS.items():
        for head in HEADS:
            for fold in (False, True) if network.batch_norm or head == "cifar" else (False,):
                case = (variant, head, fold)
                yield case if case in FAST else pytest.param(*case, marks=pytest.mark.slow)


def drawn(variant, head, width=1 / 16, side=32):
    """A network with batch norm statistics as after training, and logits of about 1."""
    torch.manual_seed(0)
    net = build(variant, num_classes=10, in_channels=1, image_size=side, head=head, width=width)
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


def noise(count, side):
    return torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)


def check(net, prepare, fold, folder):
    """Checks that both programs agree with the network at two batch sizes."""
    hyperparameters = {"classes": [f"class {k}" for k in range(10)], "model": {}}
    description = describe_network(hyperparameters, prepare, softmax=False)
    module = PixelClassifier(fold_batch_norm(net) if fold else net, prepare)
    assert not fold or count_batch_norms(module) == 0
    files = {name: folder / name for name in ("model.onnx", "model.pt2")}
    write_programs(module, description, files, calibration=())
    exported = {
        "torch.export": torch.export.load(files["model.pt2"]).module(),
        "ONNX": ExportedModel(files["model.onnx"]),
    }
    for count in BATCHES:
        images = noise(count, prepare.source_size)
        with torch.no_grad():
            expected = net(prepare(images))
            for name, program in exported.items():
                found = program(images)
                assert found.shape == expected.shape
                assert (found - expected).abs().max() <= 1e-5 * max(1, expected.abs().max()), name


@pytest.mark.parametrize(("variant", "head", "fold"), list(product()))
def test_programs_agree_with_the_network(variant, head, fold, tmp_path):
    check(drawn(variant, head), Preprocessing(1, 28, 32, (0.3,), (0.35,)), fold, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_programs_of_full_width_agree(variant, tmp_path):
    check(
        drawn(variant, "linear", width=1),
        Preprocessing(1, 28, 32, (0.3,), (0.35,)),
        VARIANTS[variant].batch_norm,
        tmp_path,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("source", "side"), [(28, 64), (96, 64), (224, 224)])
def test_programs_resize_like_training(source, side, tmp_path):
    prepare = Preprocessing(1, source, side, (0.3,), (0.35,))
    check(drawn("vgg11_bn", "imagenet", side=side), prepare, True, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "head"), [("vgg11_lrn", "linear"), *(("vgg11_bn", head) for head in HEADS)]
)
def test_int8_logits_are_close(variant, head, tmp_path):
    prepare = Preprocessing(1, 28, 32, (0.3,), (0.35,))
    module = PixelClassifier(fold_batch_norm(drawn(variant, head)), prepare)
    description = describe_network({"classes": ["a"] * 10, "model": {}}, prepare, softmax=False)
    files = {"model_int8.onnx": tmp_path / "model_int8.onnx"}
    write_programs(module, description, files, calibration=[noise(16, 28)] * 2)
    program = ExportedModel(tmp_path)
    for count in BATCHES:
        images = noise(count, 28)
        with torch.no_grad():
            expected = module(images)
        assert 0 < (program(images) - expected).abs().max() <= 0.1 * expected.abs().max()


@pytest.mark.slow
def test_a_resnet_is_exported_too(tmp_path):
    torch.manual_seed(0)
    net = resnet18(num_classes=10, in_channels=1, image_size=32).eval()
    check(net, Preprocessing(1, 28, 32, (0.3,), (0.35,)), True, tmp_path)
