"""Features equal the outputs of the layers, and extraction does not change the network."""

import copy

import pytest
import torch
from torch import nn

from vgg_lit.analysis.features import (
    CONTENT_LAYER,
    STYLE_LAYERS,
    ContentLoss,
    Features,
    PerceptualLoss,
    StyleLoss,
    extract,
    first_convolutions,
    gram,
)
from vgg_lit.errors import InputError
from vgg_lit.models import VARIANTS, build, resnet18


@pytest.fixture(params=["vgg11", "vgg13_bn", "vgg11_lrn"])
def net(request):
    """A network in training mode, whose maps would differ from those in evaluation mode."""
    net = build(request.param, width=1 / 16, num_classes=5, dropout=0.5)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.train()


@pytest.fixture
def images():
    return torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def hooked(net, x, name):
    """Returns the output of a layer in evaluation mode, before an in-place ReLU overwrites it."""
    found = []
    layer = net.layer(name)
    hook = layer.register_forward_hook(lambda module, inputs, output: found.append(output.clone()))
    with torch.no_grad():
        net.eval()(x)
    hook.remove()
    return found[0]


def test_every_layer_matches_the_output_recorded_by_a_hook(net, images):
    names = list(net.layer_paths)
    found = extract(net, images, names)
    assert list(found) == names
    twin = copy.deepcopy(net)
    for name in names:
        torch.testing.assert_close(found[name], hooked(twin, images, name), rtol=0, atol=0)
    torch.testing.assert_close(found[names[-1]], twin.eval()(images), rtol=0, atol=0)


def state(net):
    """Returns the tensors, modes, hooks and gradients of a network."""
    tensors = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    modules = [
        (type(m), m.training, getattr(m, "inplace", None), len(m._forward_hooks))
        for m in net.modules()
    ]
    return tensors, modules, [(p.requires_grad, p.grad) for p in net.parameters()]


def test_losses_and_extract_do_not_change_the_network(net, images):
    before = state(net)
    x = images.clone().requires_grad_()
    losses = [ContentLoss(net, images), StyleLoss(net, images), PerceptualLoss(net)]
    total = losses[0](x * 0.9) + losses[1](x * 0.9) + losses[2](x * 0.9, images)
    total.backward()
    with torch.no_grad():
        extract(net, images, ["fc7", "block5_pool"])
    after = state(net)
    assert before[1:] == after[1:]
    assert all(torch.equal(before[0][name], tensor) for name, tensor in after[0].items())
    assert x.grad.abs().sum() > 0


def test_layers_of_other_networks_are_named_by_module_path():
    net = resnet18(num_classes=5).train()
    net.layer1.eval()
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    before = state(net)
    found = extract(net, x, ["fc", "layer1.0.bn1"])
    after = state(net)
    assert before[1] == after[1]
    assert all(torch.equal(before[0][name], tensor) for name, tensor in after[0].items())
    assert list(found) == ["fc", "layer1.0.bn1"]
    twin = copy.deepcopy(net).eval()
    torch.testing.assert_close(found["fc"], twin(x), rtol=0, atol=0)
    maps = twin.layer1[0].bn1(
        twin.layer1[0].conv1(twin.maxpool(twin.relu(twin.bn1(twin.conv1(x)))))
    )
    assert maps.min() < 0, "the in-place ReLU after it must not change the result"
    torch.testing.assert_close(found["layer1.0.bn1"], maps, rtol=0, atol=0)
    found["fc"].sum().backward()
    assert x.grad.abs().sum() > 0


def test_a_failed_extract_does_not_change_the_network():
    net = resnet18(num_classes=5).train()
    before = state(net)
    with pytest.raises(RuntimeError, match="to have 3 channels"):
        extract(net, torch.zeros(1, 4, 32, 32), ["fc"])
    assert state(net)[1] == before[1]


def test_first_convolutions_are_the_first_of_each_block(net):
    assert first_convolutions(net) == [f"block{number}_conv1" for number in range(1, 6)]
    assert first_convolutions(resnet18()) == [
        "conv1",
        "layer1.1.conv2",
        "layer2.1.conv1",
        "layer3.0.downsample.0",
        "layer4.0.conv2",
    ]
    assert first_convolutions(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())) == ["0"]


def test_gradients_flow_through_extract_to_images_and_weights(net, images):
    x = images.requires_grad_()
    extract(net, x, ["block3_relu1"])["block3_relu1"].sum().backward()
    assert x.grad.abs().sum() > 0
    assert net.layer("block1_conv1").weight.grad.abs().sum() > 0
    assert net.layer("block3_conv2").weight.grad is None  # it did not run


def test_images_may_have_any_size_if_the_head_does_not_run():
    net = build("vgg11", width=1 / 16, head="linear", image_size=32)
    found = extract(net, torch.zeros(1, 3, 50, 70), ["block5_conv2"])
    assert found["block5_conv2"].shape[2:] == (3, 4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_the_standard_layers(variant):
    with torch.device("meta"):
        assert {CONTENT_LAYER, *STYLE_LAYERS} <= set(build(variant).layer_paths)


def test_layers_are_returned_in_the_requested_order(net, images):
    names = ["block2_conv1", "block1_pool"]
    assert list(extract(net, images, names)) == names
    assert extract(net, images, []) == {}


def test_features_are_frozen_and_independent_of_the_network(net, images):
    features = Features(net, ["block2_pool"])
    before = features(images)["block2_pool"]
    with torch.no_grad():
        net.layer("block1_conv1").weight.zero_()
    features.train()
    torch.testing.assert_close(features(images)["block2_pool"], before, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in features.parameters())
    assert not any(module.training for module in features.children())


def test_a_gram_matrix_is_the_mean_product_of_channels():
    maps = torch.randn(2, 3, 4, 5)
    expected = torch.einsum("bchw,bdhw->bcd", maps, maps) / 20
    torch.testing.assert_close(gram(maps), expected)
    doubled = torch.cat([maps, maps], dim=3)
    torch.testing.assert_close(gram(doubled), expected)


def test_content_loss_is_the_relative_error_of_maps(net, images):
    loss = ContentLoss(net, images, "block2_conv1")
    assert loss(images) == 0
    other = images.flip(3)
    a, b = (extract(net, x, ["block2_conv1"])["block2_conv1"] for x in (other, images))
    torch.testing.assert_close(loss(other), (a - b).square().sum() / b.square().sum())


def test_style_loss_is_independent_of_position_and_size(net, images):
    loss = StyleLoss(net, images, ["block1_conv1"])
    tiled = torch.cat([images, images], dim=3)
    assert loss(images) == 0
    assert loss(tiled) < 0.01 < loss(torch.randn_like(images) * 3)


def test_style_loss_is_the_mean_of_its_layers(net, images):
    names = ["block1_conv1", "block3_conv1"]
    other = images.flip(1)
    both = StyleLoss(net, images, names)(other)
    each = [StyleLoss(net, images, [name])(other) for name in names]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_perceptual_loss_trains_an_image_network(net, images):
    loss = PerceptualLoss(net, ["block1_relu1", "block2_relu1"])
    assert loss(images, images) == 0
    painter = nn.Conv2d(3, 3, 1)
    optimizer = torch.optim.Adam(painter.parameters(), lr=0.05)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(painter(images[:, :, :32, :32]), images[:, :, :32, :32])
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_losses_convert_their_buffers_with_the_module(net, images):
    for loss in (ContentLoss(net, images), StyleLoss(net, images)):
        assert loss.double()(images.double()).dtype == torch.float64
        assert len(list(loss.buffers())) > 0


def test_unknown_layers_and_networks_raise_input_error(net):
    with pytest.raises(
        InputError, match=r"unknown layer 'block4_con2'\. Did you mean 'block4_conv2'"
    ):
        extract(net, torch.zeros(1, 3, 32, 32), ["block4_con2"])
    with pytest.raises(InputError, match=r"unknown layer 'layer1\.0\.conv'\. Did you mean 'layer1"):
        extract(resnet18(), torch.zeros(1, 3, 32, 32), ["layer1.0.conv"])
    with pytest.raises(InputError, match="a ResNet has no layers with the paper's names"):
        Features(resnet18(), ["block1_conv1"])
