"""Local response normalisation."""

import pytest
import torch
from torch import nn

from vgg_lit.models.response_norm import LocalResponseNorm
from vgg_lit.models.variants import LRN


@pytest.mark.parametrize("arguments", [LRN, (4, 1e-3, 0.5, 1.0), (1, 1e-4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_and_gradients_are_those_of_pytorch(arguments, dtype):
    generator = torch.manual_seed(0)
    x_BCHW = torch.randn(3, 16, 5, 6, generator=generator).to(dtype)
    found = []
    for layer in (nn.LocalResponseNorm, LocalResponseNorm):
        mine = x_BCHW.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y_BCHW = layer(*arguments)(mine)
        y_BCHW.backward(torch.ones_like(y_BCHW))
        found.append((y_BCHW, mine.grad))
    for theirs, ours in zip(*found, strict=True):
        assert theirs.dtype == ours.dtype
        assert torch.equal(theirs, ours)
