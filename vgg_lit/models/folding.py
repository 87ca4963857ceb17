"""Folds batch norm into the layer before it: the same function with fewer operations.

    folded = fold_batch_norm(vgg16_bn(num_classes=10, head="cifar"))

In evaluation mode batch norm is one factor and one offset per channel, which can be multiplied into the
weights of a convolution or a fully connected layer.
"""

import copy
from collections import Counter
from collections.abc import Iterator

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from vgg_lit.models.layers import weighted_layers
from vgg_lit.models.vgg import VGG

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def count_batch_norms(net: nn.Module) -> int:
    """Returns the number of batch norm layers in a network."""
    return sum(isinstance(module, NORMS) for module in net.modules())


def fold_batch_norm(net: nn.Module) -> nn.Module:
    """Returns a copy in evaluation mode with batch norm folded into the layers before it.

    Layer names do not change: an `nn.Identity` replaces each batch norm that is folded. A batch norm is
    kept if it does not follow a convolution or fully connected layer, or if its input is used elsewhere
    too. A network that is not a VGG and whose forward pass cannot be traced keeps all of them.
    """
    folded = copy.deepcopy(net).eval()
    for layer_path, norm_path in list(_pairs(folded)):
        # in float64, so that the new weights are rounded only once
        layer = folded.get_submodule(layer_path).double()
        norm = folded.get_submodule(norm_path).double()
        if isinstance(layer, nn.Linear):
            fused: nn.Module = fuse_linear_bn_eval(layer, norm)  # type: ignore[arg-type]
        else:
            fused = fuse_conv_bn_eval(layer, norm)  # type: ignore[type-var, arg-type]
        folded.set_submodule(layer_path, fused.float())
        folded.set_submodule(norm_path, nn.Identity())
    return folded


def _commutes(net: VGG, layer_path: str, norm_path: str) -> bool:
    """Returns True if no pool is between the two, or one that a rising function may change places with."""
    modules = [module for _, module in net.named_modules()]
    layer, norm = net.get_submodule(layer_path), net.get_submodule(norm_path)
    between = modules[modules.index(layer) + 1 : modules.index(norm)]
    is_pooled = any(isinstance(module, nn.MaxPool2d) for module in between)
    return not is_pooled or bool((norm.get_parameter("weight") > 0).all())


def _pairs(net: nn.Module) -> Iterator[tuple[str, str]]:
    """Yields the paths of each layer and of the batch norm that is the only user of its output."""
    if isinstance(net, VGG):
        for paths in weighted_layers(net).values():
            if len(paths) == 2 and _commutes(net, *paths):
                yield paths
        return
    try:
        nodes = list(fx.Tracer().trace(net).nodes)
    except Exception:  # tracing a forward pass that depends on its input can raise anything
        return
    modules = dict(net.named_modules())
    calls = Counter(node.target for node in nodes if node.op == "call_module")
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        paths = str(before.target), str(node.target)
        layer, norm = (modules[path] for path in paths)
        is_pair = (isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)) or (
            isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d)
        )
        if is_pair and norm.track_running_stats and all(calls[path] == 1 for path in paths):
            yield paths
