"""The same networks as pure functions: from a state_dict and images to logits.

    logits_BK = forward(net.state_dict(), x_BCHW, "vgg16_bn", head="cifar")

This is the complete definition of the paper's networks, with or without batch norm, in one function; the tests
compare it with the modules.

Tensor names end in their axes: B batch, C channels, H and W pixels, F features, K classes.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vgg_lit.models.variants import LRN, Head, PlanLike, resolve_head, resolve_variant


def forward(
    params: Mapping[str, Tensor],
    x_BCHW: Tensor,
    variant: str | PlanLike,
    *,
    head: str | Mapping[str, Any] | Head = "imagenet",
    batch_norm: bool | None = None,
    training: bool = False,
) -> Tensor:
    """Returns the logits_BK of a batch of images.

    All sizes are taken from the tensors, so any width, image size or number of classes works.

    Args:
        params: the network's state_dict.
        x_BCHW: images.
        variant: a name or a plan, as for `build`.
        head: a name or a mapping, as for `build`.
        batch_norm: for plans only, as for `build`.
        training: use the batch's statistics in batch norm instead of the running ones, which are not
            updated. There is no dropout in either mode.

    Source: Simonyan & Zisserman 2015, section 2.
    """
    network, top = resolve_variant(variant, batch_norm), resolve_head(head)

    x, i = x_BCHW, 0  # i: index in `features`, where layers without parameters count too
    for block in network.plan:
        for conv in block:
            weight_OIHW, bias_O = params[f"features.{i}.weight"], params[f"features.{i}.bias"]
            x = F.conv2d(x, weight_OIHW, bias_O, padding=conv.kernel // 2)
            i += 1
            if network.batch_norm:
                x = _batch_norm(params, f"features.{i}", x, training)
                i += 1
            x = F.relu(x)
            i += 1
            if conv.lrn:
                x = F.local_response_norm(x, *LRN)
                i += 1
        x = F.max_pool2d(x, kernel_size=2, stride=2)
        i += 1

    if top.pool:
        x = F.adaptive_avg_pool2d(x, top.pool)
    x_BF, i = torch.flatten(x, 1), 0  # i: now the index in `classifier`

    for _ in top.hidden:
        x_BF = F.linear(x_BF, params[f"classifier.{i}.weight"], params[f"classifier.{i}.bias"])
        i += 1
        if top.batch_norm:
            x_BF = _batch_norm(params, f"classifier.{i}", x_BF, training)
            i += 1
        x_BF = F.relu(x_BF)
        i += 2  # the ReLU and the dropout of the modules
    return F.linear(x_BF, params[f"classifier.{i}.weight"], params[f"classifier.{i}.bias"])


def _batch_norm(params: Mapping[str, Tensor], path: str, x: Tensor, training: bool) -> Tensor:
    return F.batch_norm(
        x,
        running_mean=None if training else params[f"{path}.running_mean"],
        running_var=None if training else params[f"{path}.running_var"],
        weight=params[f"{path}.weight"],
        bias=params[f"{path}.bias"],
        training=training,
    )
