"""3x3 convolution as one matrix product, for the small maps at the end of a VGG on a CPU.

    net = vgg16_bn(num_classes=10, head="linear").to(memory_format=torch.channels_last)
    lower_small_maps(net)         # every 3x3 layer now selects the faster form at each call
    lower_small_maps(net, False)  # plain nn.Conv2d again: same parameters, same state_dict

On a 2x2 map five of the nine taps of every output fall on the zero padding, and the library's
weight gradient is much slower than a matrix product. Two forms avoid this; both are built from the
3x3 weight at every call:

- *unfold the weight* (maps of at most 2x2): the layer is a dense linear map from all inputs to all
  outputs of an image. No tap is spent on padding, no activation is copied, and autograd's
  backward is two more matrix products.
- *unfold the input* (any map; im2col): nine shifted copies of the input, side by side.

`auto` selects a form only where it was measured to be faster; `benchmarks/layers.py` repeats the
measurement.

Shape suffixes: B images, I input channels, O output channels, H and W sides of the map, K side of the
kernel (3), P positions of a batch (B * H * W).
"""

from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from vgg_lit.errors import InputError
from vgg_lit.system.hardware import cpu_features

Form: TypeAlias = Literal["library", "unfold_weight", "unfold_input"]
Mode: TypeAlias = Literal["auto"] | bool

MIN_BATCH = 32
"""Smallest batch for which the product saves more time than writing the unfolded weight costs."""

HAS_AMX = "amx_bf16" in cpu_features()
"""True if this CPU multiplies bf16 tiles (Intel AMX); read at import, as compiled code cannot read it."""


def auto_form(x_BIHW: Tensor, weight_OIKK: Tensor, dtype: torch.dtype) -> Form:
    """Returns the form that `auto` selects for a call that computes in `dtype`.

    A product is selected only on a CPU, for a batch of at least `MIN_BATCH` images and a channels-last
    weight:

    - maps of at most 2x2: the unfolded weight (VGG-16's last three layers, batch 128, on an AMD
      Zen 4, forward and backward: x1.9 to x2.5 in bf16, x1.5 in fp32);
    - maps of 3x3 and 4x4, in bf16 on a CPU with AMX: the unfolded input (a prototype's backward
      was x2.9 on an Intel CPU; on the Zen 4, which has no AMX, the library is faster here).

    In all other cases it is the library.
    """
    batch, _, height, width = x_BIHW.shape
    if (
        x_BIHW.device.type != "cpu"
        or batch < MIN_BATCH
        or not weight_OIKK.is_contiguous(memory_format=torch.channels_last)
    ):
        return "library"
    if max(height, width) <= 2:
        return "unfold_weight"
    if max(height, width) <= 4 and dtype == torch.bfloat16 and HAS_AMX:
        return "unfold_input"
    return "library"


def conv_by_unfolded_weight(x_BIHW: Tensor, weight_OIKK: Tensor, bias_O: Tensor | None) -> Tensor:
    """Returns a 3x3 convolution, stride 1, padding 1, of maps of at most 2x2, as one dense product.

    Output (y, x) uses input (v, u) through tap (v - y + 1, u - x + 1). The taps of one output are
    therefore a window of the kernel, and the stacked windows of all outputs are the (H*W*O, H*W*I)
    matrix of the layer. A channels-last weight has the I channels of a tap side by side, so they are
    copied as one piece.

    Returns:
        (B, O, H, W), channels-last.
    """
    height, width = x_BIHW.shape[2:]
    assert max(height, width) <= 2, "a window of a 3x3 kernel spans at most a 2x2 map"
    weight_OKKI = weight_OIKK.permute(0, 2, 3, 1)
    matrix = torch.stack(
        [
            weight_OKKI[:, 1 - y : 1 - y + height, 1 - x : 1 - x + width].flatten(1)
            for y in range(height)
            for x in range(width)
        ]
    ).flatten(0, 1)
    bias = None if bias_O is None else bias_O.repeat(height * width)
    out = F.linear(x_BIHW.permute(0, 2, 3, 1).flatten(1), matrix, bias)
    return out.unflatten(1, (height, width, -1)).permute(0, 3, 1, 2)


def conv_by_unfolded_input(x_BIHW: Tensor, weight_OIKK: Tensor, bias_O: Tensor | None) -> Tensor:
    """Returns a 3x3 convolution, stride 1, padding 1, of maps of any size, as one product (im2col).

    Returns:
        (B, O, H, W), channels-last.
    """
    # The rows become maps outside the autograd function: a view made inside it could not be changed
    # in place, which the ReLU after a convolution without batch norm does.
    return _to_maps(_UnfoldedInput.apply(x_BIHW, weight_OIKK, bias_O), like=x_BIHW)


class _UnfoldedInput(torch.autograd.Function):
    """Im2col whose two gradients are one matrix product each.

    Autograd would compute the input gradient as a sum over overlapping windows. It is also a
    convolution of the output gradient with the rotated kernel, and so one more im2col product. The
    unfolded input is nine times as large as the input, so the backward recomputes it. All operations
    are differentiable, so second derivatives need no separate formula.
    """

    @staticmethod
    def forward(x_BIHW: Tensor, weight_OIKK: Tensor, bias_O: Tensor | None) -> Tensor:
        weight_O_KKI = weight_OIKK.permute(0, 2, 3, 1).flatten(1)
        return F.linear(_unfold_input(x_BIHW), weight_O_KKI, bias_O)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x_BIHW, weight_OIKK, _ = inputs
        ctx.save_for_backward(x_BIHW, weight_OIKK)

    @staticmethod
    def backward(ctx: Any, grad_PO: Tensor) -> tuple[Tensor | None, ...]:
        x_BIHW, weight_OIKK = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            turned_KKO_I = torch.cat(
                [weight_OIKK[:, :, 2 - y, 2 - x] for y in range(3) for x in range(3)]
            )
            grad_BOHW = _to_maps(grad_PO, like=x_BIHW)
            grad_x = _to_maps(_unfold_input(grad_BOHW) @ turned_KKO_I, like=x_BIHW)
        if ctx.needs_input_grad[1]:
            grad_O_KKI = grad_PO.t() @ _unfold_input(x_BIHW)
            grad_weight = grad_O_KKI.unflatten(1, (3, 3, -1)).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            grad_bias = grad_PO.sum(0)
        return grad_x, grad_weight, grad_bias


def _unfold_input(x_BIHW: Tensor) -> Tensor:
    """Returns the zero-padded 3x3 neighbourhood of every position: (P, K*K*I), with the taps as slowest axis."""
    padded_BHWI = F.pad(x_BIHW.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows_BHWIKK = padded_BHWI.unfold(1, 3, 1).unfold(2, 3, 1)
    return windows_BHWIKK.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _to_maps(rows_PO: Tensor, like: Tensor) -> Tensor:
    """Views (P, O) as a channels-last (B, O, H, W) with B, H and W of `like`; no copy."""
    batch, _, height, width = like.shape
    return rows_PO.view(batch, height, width, rows_PO.shape[1]).permute(0, 3, 1, 2)


class GemmConv2d(nn.Conv2d):
    """An `nn.Conv2d` that computes a 3x3 layer as a matrix product where that is faster.

    Parameters, state_dict keys and arguments are those of `nn.Conv2d`. The library is used for a layer
    that is not 3x3 with stride 1 and padding 1, for an input without a batch axis, in an export, in a
    graph of `torch.fx`, and on the meta device.

    Attributes:
        always: use a product for maps of every size, on every device, instead of `auto_form`.
    """

    always: bool = False

    def forward(self, input: Tensor) -> Tensor:
        """Returns `F.conv2d` of (B, I, H, W), equal up to rounding; in the autocast dtype under autocast."""
        if isinstance(input, fx.Proxy):
            return super().forward(input)
        is_traced = input.is_meta or torch.compiler.is_exporting()
        if input.dim() != 4 or not is_lowerable(self) or is_traced:
            return super().forward(input)
        device, dtype = input.device.type, input.dtype
        # autocast does not convert float64
        autocast = torch.is_autocast_enabled(device) and dtype != torch.float64
        if autocast:
            dtype = torch.get_autocast_dtype(device)
        if self.always:
            form: Form = "unfold_weight" if max(input.shape[2:]) <= 2 else "unfold_input"
        else:
            form = auto_form(input, self.weight, dtype)
        if form == "library":
            return super().forward(input)
        weight, bias = self.weight, self.bias
        if autocast:
            # cast here, before F.linear does: half the bytes to unfold
            input, weight = input.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        if form == "unfold_weight":
            return conv_by_unfolded_weight(input, weight, bias)
        return conv_by_unfolded_input(input, weight, bias)


def is_lowerable(conv: nn.Conv2d) -> bool:
    """Returns True for a plain 3x3 convolution with stride 1 and padding 1, as in a VGG."""
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.padding == conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
    )


def lower_small_maps(net: nn.Module, mode: Mode = "auto") -> int:
    """Lets the 3x3 layers of a net compute as matrix products; in place and reversible.

    Only the class of each layer changes: parameters, hooks and references to the layer stay valid.
    Subclasses of `nn.Conv2d` are not changed. Call it before `torch.compile`. With "auto" the net has to
    be in `torch.channels_last` to be faster.

    Args:
        net: any module: a convolution or a network of them.
        mode: "auto" selects the form at every call (see `auto_form`), True always uses a product,
            False makes every layer a plain `nn.Conv2d` again.

    Returns:
        The number of layers that are now `GemmConv2d`.

    Raises:
        InputError: `mode` is not one of the three.
    """
    if mode not in ("auto", True, False):
        raise InputError(f"mode={mode!r}: unknown; allowed: 'auto', True, False")
    lowered = 0
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d) and type(layer) in (nn.Conv2d, GemmConv2d):
            layer.__dict__.pop("always", None)
            layer.__class__ = GemmConv2d if mode and is_lowerable(layer) else nn.Conv2d
            if isinstance(layer, GemmConv2d):
                layer.always = mode is True
                lowered += 1
    return lowered
