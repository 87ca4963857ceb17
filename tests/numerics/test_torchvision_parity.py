"""With the paper's head, the eight common networks equal torchvision's: keys, shapes and logits."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

from vgg_lit.models import build

TORCHVISION = [f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")]


def on_meta(name: str) -> tuple[nn.Module, nn.Module]:
    with torch.device("meta"):
        return build(name).eval(), getattr(torchvision_models, name)(init_weights=False).eval()


def fill(shapes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Fills a state_dict of these shapes with random values, none at its default."""
    # One draw, repeated: 144 million draws are slow, and a prime length is never aligned with a layer.
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0))

    def values(name: str, shape: Tensor) -> Tensor:
        if "num_batches" in name:
            return torch.tensor(3)
        tiled = noise.repeat(shape.numel() // len(noise) + 1)[: shape.numel()].view(shape.shape)
        if shape.dim() > 1:
            return tiled.mul_((2 / shape[0].numel()) ** 0.5)
        return tiled.mul(0.1).exp()  # biases, scales, running means and variances: around 1

    return {name: values(name, shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_shapes_and_modules_are_torchvisions(name):
    ours, theirs = on_meta(name)
    ours_shapes = [(key, tensor.shape) for key, tensor in ours.state_dict().items()]
    assert ours_shapes == [(key, tensor.shape) for key, tensor in theirs.state_dict().items()]
    modules = [(path, repr(module)) for path, module in theirs.named_modules() if path]
    pool = modules.index(("avgpool", "AdaptiveAvgPool2d(output_size=(7, 7))"))
    modules[pool] = (
        "avgpool",
        "AveragePool(output_size=7)",
    )  # the same pool, deterministic on CUDA
    assert [(path, repr(module)) for path, module in ours.named_modules() if path] == modules
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)


def test_seeded_weights_are_torchvisions_to_the_bit():
    torch.manual_seed(0)
    ours = build("vgg11_bn", init="torchvision", num_classes=10).state_dict()
    torch.manual_seed(0)
    theirs = torchvision_models.vgg11_bn(num_classes=10).state_dict()
    assert [key for key, tensor in theirs.items() if not torch.equal(ours[key], tensor)] == []


@torch.no_grad()
@pytest.mark.parametrize("name", TORCHVISION)
def test_logits_are_torchvisions_to_the_bit(name):
    ours, theirs = on_meta(name)
    theirs.load_state_dict(fill(theirs.state_dict()), strict=True, assign=True)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    for size in (96, 224):
        x_BCHW = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(size))
        logits_BK = ours(x_BCHW)
        assert logits_BK.isfinite().all()
        assert logits_BK.std() > 0.1
        assert torch.equal(logits_BK, theirs(x_BCHW))
