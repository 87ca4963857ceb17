"""The product forms equal the convolution: values, gradients, autocast, compile and `auto_form`."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import vgg_lit.models.gemm_conv as gemm_conv
from vgg_lit.errors import InputError
from vgg_lit.models import build
from vgg_lit.models.gemm_conv import (
    GemmConv2d,
    auto_form,
    conv_by_unfolded_input,
    conv_by_unfolded_weight,
    lower_small_maps,
)

FORMS = {"weight": conv_by_unfolded_weight, "input": conv_by_unfolded_input}
TINY_MAPS = [(1, 1), (1, 2), (2, 1), (2, 2)]
LARGER_MAPS = [(1, 3), (3, 3), (4, 4), (5, 2), (7, 7), (8, 9), (9, 9)]
CASES = [("weight", side) for side in TINY_MAPS] + [("input", s) for s in TINY_MAPS + LARGER_MAPS]


def operands(
    batch: int, channels: tuple[int, int], side: tuple[int, int], bias: bool = True
) -> list[Tensor | None]:
    """Input, weight and bias in float64 with `requires_grad`."""
    generator = torch.Generator().manual_seed(batch + 100 * channels[0] + 7 * side[0] + side[1])

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    x_BIHW, weight_OIKK = draw(batch, channels[0], *side), draw(channels[1], channels[0], 3, 3)
    return [x_BIHW, weight_OIKK, draw(channels[1]) if bias else None]


def channels_last(module: nn.Module) -> nn.Module:
    return module.to(memory_format=torch.channels_last)


def tiny_net() -> nn.Sequential:
    """Three layers on maps of 8, 4 and 2, and a 1x1 layer that cannot be lowered."""
    torch.manual_seed(0)
    stages = [
        [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)] for a, b in [(3, 8), (8, 8)]
    ]
    last = [nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 1), nn.Flatten()]
    return channels_last(nn.Sequential(*stages[0], *stages[1], *last))


def gradients(net: nn.Module, x_BCHW: Tensor) -> list[Tensor]:
    net.zero_grad()
    net(x_BCHW).square().mean().backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("channels", [(1, 1), (3, 5), (33, 16)])
@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize(("form", "side"), CASES)
def test_values_and_gradients_are_those_of_the_convolution(form, side, batch, channels, bias):
    for layout in (torch.contiguous_format, torch.channels_last):
        x, weight, b = operands(batch, channels, side, bias)
        leaves = [t for t in (x, weight, b) if t is not None]
        x_l, weight_l = x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
        ours, library = FORMS[form](x_l, weight_l, b), F.conv2d(x_l, weight_l, b, padding=1)
        torch.testing.assert_close(ours, library, rtol=1e-11, atol=1e-11)
        assert ours.is_contiguous(memory_format=torch.channels_last)
        seed = torch.cos(torch.arange(library.numel(), dtype=torch.float64)).view(library.shape)
        torch.testing.assert_close(
            torch.autograd.grad(ours, leaves, seed),
            torch.autograd.grad(library, leaves, seed),
            rtol=1e-11,
            atol=1e-11,
        )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("form", "side"), [("weight", (2, 2)), ("input", (2, 3)), ("input", (4, 4))]
)
def test_first_and_second_derivatives_match_differences(form, side, bias):
    inputs = tuple(operands(2, (2, 2), side, bias))
    assert torch.autograd.gradcheck(FORMS[form], inputs)
    assert torch.autograd.gradgradcheck(FORMS[form], inputs, fast_mode=True)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_batch_gives_no_images_and_zero_gradients(form):
    x, weight, bias = operands(1, (3, 4), (2, 2))
    out = FORMS[form](x[:0], weight, bias)
    assert out.shape == (0, 4, 2, 2)
    out.sum().backward()
    assert not weight.grad.any()
    assert not bias.grad.any()


@pytest.mark.parametrize("form", FORMS)
def test_frozen_operands_get_no_gradient(form):
    for frozen in range(3):
        leaves = operands(2, (3, 4), (2, 2))
        leaves[frozen].requires_grad_(False)
        expected = [t.detach().clone().requires_grad_(t.requires_grad) for t in leaves]
        FORMS[form](*leaves).square().sum().backward()
        F.conv2d(*expected, padding=1).square().sum().backward()
        assert leaves[frozen].grad is None
        for ours, library in zip(leaves, expected, strict=True):
            if library.grad is not None:
                torch.testing.assert_close(ours.grad, library.grad)


def test_a_weight_used_twice_collects_both_gradients():
    for side in ((2, 2), (4, 4)):
        plain = nn.Conv2d(6, 6, 3, padding=1).double()
        ours = copy.deepcopy(plain)
        lower_small_maps(ours, True)
        x_BCHW = torch.randn(3, 6, *side, dtype=torch.float64)
        for net in (plain, ours):
            net(net(x_BCHW).relu()).square().sum().backward()
        torch.testing.assert_close(ours.weight.grad, plain.weight.grad)
        torch.testing.assert_close(ours.bias.grad, plain.bias.grad)


@pytest.mark.parametrize("side", [1, 2, 4])
def test_autocast_gives_the_librarys_dtype_and_no_more_error(side):
    torch.manual_seed(side)
    plain = channels_last(nn.Conv2d(48, 40, 3, padding=1))
    ours = copy.deepcopy(plain)
    lower_small_maps(ours, True)
    x_BCHW = torch.randn(8, 48, side, side)
    exact = copy.deepcopy(plain).double()
    exact(x_BCHW.double()).square().mean().backward()
    with torch.autocast("cpu", torch.bfloat16):
        outs = {net: net(x_BCHW) for net in (plain, ours)}
        assert ours(x_BCHW.double().bfloat16()).dtype == torch.bfloat16
    assert outs[ours].dtype == outs[plain].dtype == torch.bfloat16
    scale = exact(x_BCHW.double()).abs().max()
    for net, out in outs.items():
        out.float().square().mean().backward()
        assert (out.double() - exact(x_BCHW.double())).abs().max() < 2**-7 * scale
        assert net.weight.grad.dtype == torch.float32
        error = (net.weight.grad.double() - exact.weight.grad).norm() / exact.weight.grad.norm()
        assert error < 2**-7


def test_autocast_does_not_change_float64():
    layer = nn.Conv2d(2, 2, 3, padding=1).double()
    lower_small_maps(layer, True)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.ones(1, 2, 2, 2, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("mode", ["auto", True])
def test_a_lowered_net_computes_the_plain_nets_loss_and_gradients(mode):
    plain = tiny_net().double()
    ours = copy.deepcopy(plain)
    assert lower_small_maps(ours, mode) == 3
    x_BCHW = torch.randn(32, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(x_BCHW), plain(x_BCHW))
    torch.testing.assert_close(gradients(ours, x_BCHW), gradients(plain, x_BCHW))


def test_an_in_place_relu_may_follow_a_product():
    """Without batch norm, an in-place ReLU follows a convolution directly."""
    plain = build([[4], [8]], num_classes=3, in_channels=3, image_size=8, head="linear").double()
    ours = copy.deepcopy(plain)
    lower_small_maps(ours, True)
    x_BCHW = torch.randn(32, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(gradients(ours, x_BCHW), gradients(plain, x_BCHW))


def test_lowering_changes_only_the_class_and_is_reversible():
    net = tiny_net()
    before = dict(net.named_parameters())
    keys, modules = list(net.state_dict()), list(net.modules())
    assert lower_small_maps(net, True) == 3
    assert [type(m) for m in net if isinstance(m, nn.Conv2d)] == [GemmConv2d] * 3 + [nn.Conv2d]
    assert list(net.state_dict()) == keys
    assert all(parameter is before[name] for name, parameter in net.named_parameters())
    assert lower_small_maps(net) == 3
    assert not any(m.always for m in net if isinstance(m, GemmConv2d))
    assert lower_small_maps(net, False) == 0
    assert all(a is b for a, b in zip(net.modules(), modules, strict=True))
    assert not any(isinstance(m, GemmConv2d) or "always" in vars(m) for m in net)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 5, padding=2),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(4, 4, 3, padding=1),
        type("MyConv2d", (nn.Conv2d,), {})(4, 4, 3, padding=1),
    ],
)
def test_other_layers_are_not_changed(layer):
    kind = type(layer)
    assert lower_small_maps(layer, True) == 0
    assert type(layer) is kind


def test_a_gemm_layer_with_other_arguments_uses_the_library():
    layer = GemmConv2d(4, 4, 3, stride=2)
    layer.always = True
    assert layer(torch.ones(1, 4, 5, 5)).shape == (1, 4, 2, 2)


def test_an_unknown_mode_is_refused():
    with pytest.raises(InputError, match="mode='always': unknown; allowed: 'auto', True, False"):
        lower_small_maps(nn.Conv2d(4, 4, 3, padding=1), "always")


def test_copies_and_pickles_keep_form_and_values():
    layer = nn.Conv2d(4, 4, 3, padding=1)
    lower_small_maps(layer, True)
    x_BCHW = torch.randn(2, 4, 2, 2)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is GemmConv2d
        assert twin.always
        torch.testing.assert_close(twin(x_BCHW), layer(x_BCHW))


def test_one_image_without_a_batch_is_accepted():
    layer = nn.Conv2d(4, 5, 3, padding=1)
    lower_small_maps(layer, True)
    assert layer(torch.ones(4, 2, 2)).shape == (5, 2, 2)


def test_a_wrong_dtype_raises_the_librarys_error():
    layer = nn.Conv2d(4, 5, 3, padding=1)
    lower_small_maps(layer, True)
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.ones(2, 4, 2, 2, dtype=torch.float64))


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_activations_give_the_same_gradients(reentrant):
    net = tiny_net().double()
    lower_small_maps(net, True)
    x_BCHW = torch.randn(3, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    expected = gradients(net, x_BCHW)
    net.zero_grad()
    checkpoint(net, x_BCHW, use_reentrant=reentrant).square().mean().backward()
    torch.testing.assert_close([p.grad for p in net.parameters()], expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiles_without_a_graph_break(precision):
    net = tiny_net()
    lower_small_maps(net, True)
    x_BCHW = torch.randn(4, 3, 8, 8)
    # aot_eager traces forward and backward like inductor, but needs no C++ compiler
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        ours, expected = gradients(compiled, x_BCHW), gradients(net, x_BCHW)
    torch.testing.assert_close(ours, expected, rtol=1e-2, atol=1e-4)


def test_an_exported_net_holds_convolutions():
    net = tiny_net().eval()
    lower_small_maps(net, True)
    exported = torch.export.export(net, (torch.randn(2, 3, 8, 8),))
    targets = [str(node.target) for node in exported.graph.nodes]
    assert sum("conv2d" in target for target in targets) == 4
    assert not any("linear" in target for target in targets)


def rule(side, batch=128, dtype=torch.bfloat16, device="cpu", layout=torch.channels_last) -> str:
    weight_OIKK = torch.empty(8, 8, 3, 3, device=device).contiguous(memory_format=layout)
    return auto_form(torch.empty(batch, 8, *side, device=device), weight_OIKK, dtype)


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rule_by_map_dtype_and_hardware(monkeypatch, amx, dtype):
    monkeypatch.setattr(gemm_conv, "HAS_AMX", amx)
    for side in TINY_MAPS:
        assert rule(side, dtype=dtype) == "unfold_weight"
    medium = "unfold_input" if amx and dtype == torch.bfloat16 else "library"
    assert rule((3, 3), dtype=dtype) == rule((4, 4), dtype=dtype) == medium
    assert rule((5, 4), dtype=dtype) == rule((8, 8), dtype=dtype) == "library"


def test_rule_selects_the_library_for_other_devices_layouts_and_small_batches(monkeypatch):
    monkeypatch.setattr(gemm_conv, "HAS_AMX", True)
    for side in ((2, 2), (4, 4)):
        assert rule(side) != "library"
        assert rule(side, device="meta") == "library"
        assert rule(side, layout=torch.contiguous_format) == "library"
        assert rule(side, batch=31) == "library"


def test_auto_form_receives_the_autocast_dtype(monkeypatch):
    asked = []
    monkeypatch.setattr(
        gemm_conv, "auto_form", lambda x, w, dtype: asked.append(dtype) or "library"
    )
    layer = nn.Conv2d(4, 4, 3, padding=1)
    lower_small_maps(layer)
    layer(torch.ones(1, 4, 2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.ones(1, 4, 2, 2))
    assert asked == [torch.float32, torch.bfloat16]
