"""AutoAugment and TrivialAugment with separate random draws for each sample.

torchvision's transforms draw one operation for a whole batch, from global random state. This module
reads the policy tables from torchvision's classes and applies them to each sample of a batch.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.operations import OPERATIONS, operate


class AutoAugment:
    """One of the 25 policies learned for a data set: two operations, each with a probability.

    Args:
        policy: data set whose policies are used.

    Source: Cubuk et al. 2019, "AutoAugment: Learning augmentation strategies from data", section 4;
    the tables are torchvision's.
    """

    def __init__(self, policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10") -> None:
        self.policy = policy

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """uint8 images of the same shape."""
        height, width = images_BCHW.shape[-2:]
        table = _auto_augment(self.policy, height, width, images_BCHW.device)
        policies, steps = table.operation.shape
        policy_B = draws.integers("autoaugment policy", policies)
        for step in range(steps):
            operation_B = table.operation[policy_B, step]
            is_applied_B = (
                draws.uniform(f"autoaugment step {step}") < table.probability[policy_B, step]
            )
            operation_B = torch.where(is_applied_B, operation_B, OPERATIONS.index("Identity"))
            magnitude_B = table.magnitude[policy_B, step]
            sign_B = _signs(table.is_signed[policy_B, step], draws, f"autoaugment sign {step}")
            images_BCHW = operate(images_BCHW, operation_B, sign_B * magnitude_B)
        return images_BCHW


class TrivialAugment:
    """One randomly drawn operation per sample, at a randomly drawn strength.

    Source: Müller & Hutter 2021, "TrivialAugment: Tuning-free yet state-of-the-art data
    augmentation", section 3; the wide space is torchvision's.
    """

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """uint8 images of the same shape."""
        height, width = images_BCHW.shape[-2:]
        table = _trivial_augment(height, width, images_BCHW.device)
        operations, strengths = table.magnitude.shape
        row_B = draws.integers("trivialaugment operation", operations)
        magnitude_B = table.magnitude[row_B, draws.integers("trivialaugment strength", strengths)]
        sign_B = _signs(table.is_signed[row_B], draws, "trivialaugment sign")
        return operate(images_BCHW, table.operation[row_B], sign_B * magnitude_B)


class _AutoAugmentTable(NamedTuple):
    """(25, 2) tensors: one row per policy, one column per step."""

    operation: Tensor
    probability: Tensor
    magnitude: Tensor
    is_signed: Tensor


class _TrivialAugmentTable(NamedTuple):
    """Per operation (14,); `magnitude` also per strength (14, 31)."""

    operation: Tensor
    magnitude: Tensor
    is_signed: Tensor


@lru_cache
def _auto_augment(policy: str, height: int, width: int, device: torch.device) -> _AutoAugmentTable:
    """Builds the table, once per policy, size and device."""
    from torchvision.transforms import v2

    theirs: Any = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    policies = theirs._policies
    space = theirs._AUGMENTATION_SPACE
    magnitudes = {name: _magnitudes(space, name, 10, height, width) for name in space}
    table = _AutoAugmentTable(
        torch.tensor([[OPERATIONS.index(name) for name, _, _ in steps] for steps in policies]),
        torch.tensor([[probability for _, probability, _ in steps] for steps in policies]),
        torch.tensor(
            [[magnitudes[name][place or 0] for name, _, place in steps] for steps in policies]
        ),
        torch.tensor([[space[name][1] for name, _, _ in steps] for steps in policies]),
    )
    return _AutoAugmentTable(*(column.to(device) for column in table))


@lru_cache
def _trivial_augment(height: int, width: int, device: torch.device) -> _TrivialAugmentTable:
    """Builds the table, once per size and device."""
    from torchvision.transforms import v2

    theirs: Any = v2.TrivialAugmentWide()
    space = theirs._AUGMENTATION_SPACE
    table = _TrivialAugmentTable(
        torch.tensor([OPERATIONS.index(name) for name in space]),
        torch.stack(
            [_magnitudes(space, name, theirs.num_magnitude_bins, height, width) for name in space]
        ),
        torch.tensor([is_signed for _, is_signed in space.values()]),
    )
    return _TrivialAugmentTable(*(column.to(device) for column in table))


def _magnitudes(space: dict[str, Any], name: str, count: int, height: int, width: int) -> Tensor:
    """Returns an operation's magnitudes, weakest first, float32; zeros if it has none."""
    magnitudes = space[name][0](count, height, width)
    return torch.zeros(count) if magnitudes is None else magnitudes.float()


def _signs(is_signed_B: Tensor, draws: Draws, stream: str) -> Tensor:
    """Returns 1, or -1 for a random half of the samples whose operation is signed."""
    return 1 - 2 * (is_signed_B & (draws.integers(stream, 2) == 1)).int()
