"""The running statistics of batch norm, computed again for changed weights.

    recompute_statistics(net, (net(x_BCHW) for x_BCHW in batches))

An average of weights needs it: its layers have other inputs than those of the averaged networks.
"""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vgg_lit.models.freezing import is_frozen_norm


def recompute_statistics(net: nn.Module, outputs: Iterable[object]) -> list[Tensor]:
    """Sets the statistics of batch norm to the equal mean over batches; frozen layers keep theirs.

    All other layers are in evaluation mode meanwhile, so dropout is off, as when the statistics are used.

    Args:
        net: network; its mode is restored.
        outputs: an iterator that passes one batch through `net` for each value.

    Returns:
        The statistics, to be averaged over processes.

    Source: Izmailov et al. 2018, section 3.2, https://arxiv.org/abs/1803.05407.
    """
    norms = [
        module
        for module in net.modules()
        if isinstance(module, _BatchNorm)
        and module.track_running_stats
        and not is_frozen_norm(module)
    ]
    if not norms:
        return []
    modes = {module: module.training for module in net.modules()}
    momenta = [norm.momentum for norm in norms]
    net.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        for number, _ in enumerate(outputs, start=2):
            for norm in norms:
                norm.momentum = 1 / number
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
    found = [statistic for norm in norms for statistic in (norm.running_mean, norm.running_var)]
    return [statistic for statistic in found if statistic is not None]
