"""Parameters, MACs and memory of a network, by layer, without computing or allocating anything.

    cost = measure(net, (3, 224, 224), batch_size=32, precision="bf16-mixed")
    cost.layers[0]                                       # block1_conv1: shape, parameters, MACs ...
    sum(layer.macs for layer in cost.layers), cost.memory.training

A MAC is one multiplication and addition. MACs of convolutions and matrix products are counted, with
zero padding and without biases. Norms, activations and pools are not counted.

The network runs on fake tensors, which have shapes but no values, so the operations that torch would
execute are counted.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from vgg_lit.analysis.memory import KeptForBackward, LiveMemory
from vgg_lit.analysis.receptive_field import ReceptiveField, receptive_fields_of
from vgg_lit.errors import InputError
from vgg_lit.models.gemm_conv import lower_small_maps
from vgg_lit.models.layers import named_layers
from vgg_lit.models.vgg import VGG

PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "32-true": (torch.float32, None),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "16-mixed": (torch.float32, torch.float16),
    "bf16-true": (torch.bfloat16, None),
    "64-true": (torch.float64, None),
}
"""Lightning's precision names -> data type of the weights, and data type of autocast if any."""

BETWEEN = "between layers"
"""Pseudo-layer for what no layer has: inputs of checkpointed blocks, and parameters and products in other code."""


@dataclass(frozen=True)
class LayerCost:
    """The cost of one layer.

    Attributes:
        name: layer name of the paper for a VGG; module path for other networks.
        block: enclosing block of a VGG, such as `block1` or `head`; for other networks the first two
            parts of the module path, empty for modules at the top two levels.
        kind: class of the module.
        output_shape: output shape for one image, (C, H, W) or (F,).
        parameters: number of parameters.
        macs: MACs for one image.
        kept: bytes of a batch saved for the backward pass, first by this layer.
        field: receptive field; None for networks other than a VGG.
    """

    name: str
    block: str
    kind: str
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    macs: int = 0
    kept: int = 0
    field: ReceptiveField | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes that a batch needs, without the workspace of the device's libraries.

    Attributes:
        weights: weights and buffers.
        gradients: gradients of the weights.
        momentum: optimiser state of SGD with momentum; Adam needs twice as much.
        activations: activations kept for the backward pass, including the images.
        weight_copies: weights in the lower precision, which mixed precision also keeps.
        training: peak memory of a training step, including all of the above. It may be less than their
            sum, because activations are freed while gradients are allocated.
        inference: peak memory of a forward pass without gradients.
    """

    weights: int
    gradients: int
    momentum: int
    activations: int
    weight_copies: int
    training: int
    inference: int


@dataclass(frozen=True)
class Cost:
    """The cost of a network; layers are in the order in which they first run."""

    layers: tuple[LayerCost, ...]
    memory: Memory


def measure(
    net: nn.Module, image_shape: Sequence[int], batch_size: int = 1, precision: str = "32-true"
) -> Cost:
    """Measures the cost of a network for a batch of images.

    Args:
        net: any module that maps images to logits; not modified, may be on the meta device.
        image_shape: (C, H, W).
        batch_size: images per batch.
        precision: a key of `PRECISIONS`; mixed precision follows the rules of CPU autocast.

    Raises:
        InputError: the network cannot be trained with this batch size.
    """
    dtype, autocast_dtype = PRECISIONS[precision]

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast("cpu", autocast_dtype) if autocast_dtype else nullcontext()

    def fake(tensor: Tensor) -> Tensor:
        is_float = tensor.is_floating_point()
        return torch.empty(tensor.shape, dtype=dtype if is_float else tensor.dtype)

    with FakeTensorMode():
        twin = _twin(net, fake)
        lower_small_maps(
            twin, False
        )  # the lowered forms need a different amount of memory on some CPUs
        images_BCHW = torch.empty(batch_size, *image_shape, dtype=dtype)
        try:
            layers, kept, training = _train_step(twin, images_BCHW, autocast)
        except ValueError as error:  # batch norm with a single value per channel
            raise InputError(f"batch_size={batch_size}: {error}") from error
        with LiveMemory() as live, torch.no_grad(), autocast():
            twin.eval()(images_BCHW)
        weights = sum(map(_size, _tensors(twin)))
        trained = sum(_size(weight) for weight in twin.parameters() if weight.requires_grad)
    memory = Memory(
        weights=weights,
        gradients=trained,
        momentum=trained,
        activations=sum(kept.activations.values()),
        weight_copies=kept.weight_copies,
        training=weights + trained + _size(images_BCHW) + training,
        inference=weights + _size(images_BCHW) + live.peak,
    )
    return Cost(layers, memory)


def _train_step(
    net: nn.Module, images_BCHW: Tensor, autocast: Callable[[], AbstractContextManager[object]]
) -> tuple[tuple[LayerCost, ...], KeptForBackward, int]:
    """Returns layers, saved tensors, and the peak memory without weights, momentum and images."""
    net.train()
    layers = named_layers(net)
    kept, flops = KeptForBackward(net), FlopCounterMode(display=False)
    flops_of: defaultdict[str, int] = defaultdict(int)
    shapes: dict[str, tuple[int, ...]] = {}  # in the order in which layers first run

    def watch(name: str, layer: nn.Module) -> tuple[Any, Any]:
        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept.layer = name
            flops_of[name] -= flops.get_total_flops()

        def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            kept.layer = BETWEEN
            flops_of[name] += flops.get_total_flops()
            first = output[0] if isinstance(output, tuple) else output
            shapes[name] = tuple(first.shape[1:])

        return layer.register_forward_pre_hook(before), layer.register_forward_hook(after)

    hooks = [hook for name, layer in layers.items() for hook in watch(name, layer)]
    kept.layer = BETWEEN
    labels_B = torch.zeros(len(images_BCHW), dtype=torch.long)
    with LiveMemory() as live:
        with flops, kept, autocast():
            logits_BK = net(images_BCHW)
        total = flops.get_total_flops()
        for hook in hooks:  # recomputation in the backward pass must not count again
            hook.remove()
        F.cross_entropy(logits_BK.float(), labels_B).backward()
    fields = receptive_fields_of(net, images_BCHW.shape[-1]) if isinstance(net, VGG) else {}
    left = dict.fromkeys(net.parameters())  # a parameter that layers share counts once
    parameters = {name: _taken(layers[name].parameters(), left) for name in shapes}
    costs = [
        LayerCost(
            name,
            _block(net, name),
            type(layers[name]).__name__,
            shape,
            parameters[name],
            flops_of[name] // 2 // len(images_BCHW),
            kept.activations[name],
            fields.get(name),
        )
        for name, shape in shapes.items()
    ]
    between = LayerCost(
        BETWEEN,
        BETWEEN,
        "",
        parameters=_taken(list(left), left),
        macs=(total - sum(flops_of.values())) // 2 // len(images_BCHW),
        kept=kept.activations[BETWEEN],
    )
    if between.parameters or between.macs or between.kept:
        costs.append(between)
    return tuple(costs), kept, live.peak


def _taken(parameters: Iterable[nn.Parameter], left: dict[nn.Parameter, None]) -> int:
    """Removes parameters from those that are left; returns the number of values that were there."""
    found = [parameter for parameter in parameters if parameter in left]
    for parameter in found:
        del left[parameter]
    return sum(parameter.numel() for parameter in found)


def _block(net: nn.Module, name: str) -> str:
    if not isinstance(net, VGG):
        path = name.split(".")
        return ".".join(path[:2]) if len(path) > 2 else ""
    return name.partition("_")[0] if name.startswith("block") else "head"


def training_operations(net: nn.Module, image_shape: Sequence[int]) -> float:
    """Returns the operations per image of a training step; a multiply-add counts as two operations.

    Includes forward and backward of convolutions and matrix products, with padding, independent of the
    form that computes them. The count runs on the meta device: nothing is computed and no random number
    is drawn.

    Args:
        net: any module that takes images; not modified.
        image_shape: (C, H, W).
    """
    twin = _twin(net, lambda tensor: torch.empty_like(tensor, device="meta")).train()
    batch = 2  # batch norm on 1x1 maps needs at least two images
    with FlopCounterMode(display=False) as counter:
        # calls forward directly, because calling a compiled net would recompile it
        twin.forward(torch.empty(batch, *image_shape, device="meta")).sum().backward()
    return counter.get_total_flops() / batch


def _twin(net: nn.Module, empty: Callable[[Tensor], Tensor]) -> nn.Module:
    """Returns a copy of a network with its tensors replaced by `empty(tensor)`; copies no data."""
    twins = {id(tensor): _like(tensor, empty(tensor)) for tensor in _tensors(net)}
    return copy.deepcopy(net, twins)


def _like(tensor: Tensor, twin: Tensor) -> Tensor:
    return nn.Parameter(twin, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else twin


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    yield from net.parameters()
    yield from net.buffers()


def _size(tensor: Tensor) -> int:
    """Returns the size of a tensor's storage in bytes."""
    return tensor.untyped_storage().nbytes()
