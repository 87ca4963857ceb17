"""A check of the output of any network: it maps images to the logits of their classes.

check_logits(build_without_weights(spec), spec, DataShape(10, in_channels=3, image_size=32))
"""

import inspect
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from vgg_lit.errors import ConfigError, InputError, one_line
from vgg_lit.models.data_arguments import NAMES, DataShape
from vgg_lit.models.variants import network_name
from vgg_lit.system.weightless import build_with_weights, needs_values, weightless
from vgg_lit.targets import locate

PROBED_SIZES = (48, 64, 96, 128, 160, 192, 224, 256, 299, 320, 384, 512)
"""Image sizes that are tried for the remedy, pixels."""


def check_logits(net: nn.Module, spec: Mapping[str, Any], shape: DataShape) -> None:
    """Checks by a forward pass in both modes that a network maps images of the data to logits.

    A network that cannot run on the meta device is built again and runs on the CPU.

    Args:
        net: network without weights.
        spec: the `model` group.
        shape: properties of the data, all known.

    Raises:
        ConfigError: it does not; the message has the remedy.
    """
    assert shape.is_known
    assert shape.image_size is not None
    name = network_name(spec)
    images = f"{shape.in_channels} x {shape.image_size} x {shape.image_size} images"
    for is_training in (False, True):
        net.train(is_training)
        try:
            try:
                output = _output(net, shape, shape.image_size)
            except Exception as error:
                if not needs_values(error, spec):
                    raise
                net = build_with_weights(spec).train(is_training)
                output = _output(net, shape, shape.image_size)
        except InputError as error:
            raise ConfigError(f"model: {error}") from error
        except Exception as error:  # a network may raise anything for unsuitable images
            remedy = _remedy(net.eval(), spec, shape)
            raise ConfigError(
                f"model: {name} fails on {images}: {_reason(error)}; {remedy}"
            ) from error
        mode = " in training" if is_training else ""
        _check_output(output, f"model: {name} returns {{}}{mode}", spec, shape)


def _output(net: nn.Module, shape: DataShape, side: int) -> Any:
    parameter = next(net.parameters(), torch.empty(0))
    x_BCHW = torch.zeros(2, int(shape.in_channels or 0), side, side, device=parameter.device)
    with torch.no_grad():
        if not parameter.is_meta:
            return net(x_BCHW)
        with weightless():
            return net(x_BCHW)


def _check_output(output: Any, says: str, spec: Mapping[str, Any], shape: DataShape) -> None:
    """Raises if an output is not logits (2, K); `says` has a place for its description."""
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        if isinstance(output, Mapping):
            kind = f"{kind} with the keys {', '.join(map(str, output))}"
        elif isinstance(output, tuple | list):
            kind = f"{kind} of {len(output)}"
        has_aux = any("aux" in field for field in getattr(output, "_fields", ()))
        help_ = "set model.aux_logits=false, or " if has_aux else ""
        _refuse(says, f"a {kind}", f"{help_}return only the logits (N, {shape.num_classes})")
    found = tuple(output.shape)
    if found == (2, shape.num_classes) and output.is_floating_point():
        return
    if found == (2, shape.num_classes):
        _refuse(says, f"values of type {str(output.dtype).removeprefix('torch.')}", "return logits")
    if len(found) == 2 and found[0] == 2:
        _refuse(says, f"{found[1]:,} logits", _remedy_of_classes(spec, shape))
    if len(found) == 1 and shape.num_classes == 2:
        _refuse(says, "one value for each image", "return a logit for each of the 2 classes")
    rest = (
        f" ({', '.join(map(str, ('N', *found[1:])))})" if found and found[0] == 2 else f" {found}"
    )
    _refuse(says, f"a tensor{rest}", f"return logits (N, {shape.num_classes}), e.g. by flatten(1)")


def _refuse(says: str, what: str, remedy: str) -> NoReturn:
    raise ConfigError(f"{says.format(what)}; {remedy}")


def _remedy_of_classes(spec: Mapping[str, Any], shape: DataShape) -> str:
    parameters = inspect.signature(locate(spec["_target_"])).parameters
    known = [key for key in NAMES["num_classes"] if key in parameters]
    if known:
        return f"the data have {shape.num_classes} classes: use its argument {known[0]}"
    return (
        f"the data have {shape.num_classes} classes: set the argument for the number of classes "
        f"(model.<argument>={shape.num_classes}; it has {', '.join(parameters) or 'no arguments'}), or "
        "give the class an argument num_classes"
    )


def _remedy(net: nn.Module, spec: Mapping[str, Any], shape: DataShape) -> str:
    """Returns the remedy for a network that fails on the images of the data."""
    wanted = _channels(net)
    if wanted is not None and wanted != shape.in_channels:
        return (
            f"it takes {wanted} channels and the data have {shape.in_channels}: use data with {wanted} "
            "channels, or give its class an argument in_channels"
        )
    if next(net.parameters(), torch.empty(0)).is_meta:
        for side in (side for side in PROBED_SIZES if side > int(shape.image_size or 0)):
            try:
                _output(net, shape, side)
            except Exception:  # too small as well
                continue
            return f"it works with data.image_size={side}"
    return f"forward(images) has to take images (N, {shape.in_channels}, H, W)"


def _channels(net: nn.Module) -> int | None:
    """Returns the channels of the first convolution; None if there is none."""
    first = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    return None if first is None else first.in_channels


def _reason(error: Exception) -> str:
    """Returns the message of an exception with its place, if it is in the user's code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    is_of_torch = "site-packages" in frame.filename
    place = "" if is_of_torch else f" ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
    kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
    return f"{kind}{one_line(error)[:200]}{place}"
