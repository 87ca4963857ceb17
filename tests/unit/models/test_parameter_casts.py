"""Casting all parameters at once equals autocast to the bit."""

import pytest
import torch

from vgg_lit.models import build
from vgg_lit.models.parameter_casts import cast_parameters, cast_together


def network(**options):
    options = {"num_classes": 4, "image_size": 32, "width": 0.1, "head": "cifar", **options}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("vgg11_bn", **options).to(memory_format=torch.channels_last)


def step(net, places):
    """The logits and the gradients of a step."""
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    net.zero_grad()
    with torch.random.fork_rng(), torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(2)  # dropout
        with cast_together(places, torch.bfloat16):
            logits_BK = net(images)
    logits_BK.float().square().sum().backward()
    return logits_BK.detach(), {name: p.grad for name, p in net.named_parameters()}


@pytest.mark.parametrize("frozen", [0, 3])
def test_a_step_is_the_same_to_the_bit(frozen):
    net = network()
    for parameter in list(net.parameters())[:frozen]:
        parameter.requires_grad = False
    before = list(net.named_parameters())
    logits, gradients = step(net, [])
    casts = cast_parameters(net)
    assert len(casts) == 2 * (8 + 3)  # weights and biases
    found, others = step(net, casts)
    assert torch.equal(found, logits)
    assert all((gradients[name] is None) == (not p.requires_grad) for name, p in before)
    for name, gradient in gradients.items():
        assert gradient is None or torch.equal(gradient, others[name]), name
        assert gradient is None or gradient.stride() == others[name].stride(), name
    assert all(
        one is other for (_, one), (_, other) in zip(before, net.named_parameters(), strict=True)
    )


def test_the_parameters_are_restored_after_an_error():
    net = network()
    before = list(net.parameters())
    with pytest.raises(RuntimeError), cast_together(cast_parameters(net), torch.bfloat16):
        net(torch.zeros(4, 2, 32, 32))  # two channels
    assert all(one is other for one, other in zip(before, net.parameters(), strict=True))


def test_without_parameters_nothing_is_cast():
    with cast_together([], torch.bfloat16):
        pass
