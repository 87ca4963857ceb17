"""AutoAugment and TrivialAugment with separate random draws for each sample.

torchvision's transforms draw one operation for a whole batch, from global random state. This module
reads the policy tables from torchvision's classes and applies them to each sample of a batch.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from vgg_lit.data.draws import Draws
from vgg_lit.data.operations import OPERATIONS, Plan, carry_out, plan


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
        """Returns uint8 images of the same shape."""
        height, width = images_BCHW.shape[-2:]
        table = _auto_augment(self.policy, height, width, images_BCHW.device)
        row_B2 = draws.each(_auto_augment_rows, self.policy, height, width)
        return carry_out(images_BCHW, table.plan, row_B2)


class TrivialAugment:
    """One randomly drawn operation per sample, at a randomly drawn strength.

    Source: Müller & Hutter 2021, "TrivialAugment: Tuning-free yet state-of-the-art data
    augmentation", section 3; the wide space is torchvision's.
    """

    def __call__(self, images_BCHW: Tensor, draws: Draws) -> Tensor:
        """Returns uint8 images of the same shape."""
        height, width = images_BCHW.shape[-2:]
        table = _trivial_augment(height, width, images_BCHW.device)
        row_B = draws.each(_trivial_augment_rows, height, width)
        return carry_out(images_BCHW, table.plan, row_B[:, None])


class _Table(NamedTuple):
    """The operations of a method, twice: with positive magnitudes, then with negative ones.

    Attributes:
        plan: one row per sign, policy and step, or per sign, operation and strength.
        is_signed: the sign of the magnitude is drawn: (policies, steps), or (operations, strengths).
        probability: probability that an operation is applied: (policies, steps); empty if always.
        identity: row of an operation that changes nothing.
    """

    plan: Plan
    is_signed: Tensor
    probability: Tensor
    identity: int


def _auto_augment_rows(draws: Draws, policy: str, height: int, width: int) -> Tensor:
    """Returns the row of each sample's operation in each step (B, 2)."""
    table = _auto_augment(policy, height, width, draws.ids.device)
    policies, steps = table.is_signed.shape
    policy_B = draws.integers("autoaugment policy", policies)
    rows = []
    for step in range(steps):
        is_negative_B = _negative(
            table.is_signed[policy_B, step], draws, f"autoaugment sign {step}"
        )
        row_B = policy_B * steps + step + policies * steps * is_negative_B
        is_applied_B = draws.uniform(f"autoaugment step {step}") < table.probability[policy_B, step]
        rows.append(torch.where(is_applied_B, row_B, table.identity))
    return torch.stack(rows, dim=1)


def _trivial_augment_rows(draws: Draws, height: int, width: int) -> Tensor:
    """Returns the row of each sample's operation (B,)."""
    table = _trivial_augment(height, width, draws.ids.device)
    operations, strengths = table.is_signed.shape
    operation_B = draws.integers("trivialaugment operation", operations)
    strength_B = draws.integers("trivialaugment strength", strengths)
    is_negative_B = _negative(
        table.is_signed[operation_B, strength_B], draws, "trivialaugment sign"
    )
    return (is_negative_B * operations + operation_B) * strengths + strength_B


@lru_cache
def _auto_augment(policy: str, height: int, width: int, device: torch.device) -> _Table:
    """Builds the table, once per policy, size and device."""
    from torchvision.transforms import v2

    theirs: Any = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    policies = theirs._policies
    space = theirs._AUGMENTATION_SPACE
    magnitudes = {name: _magnitudes(space, name, 10, height, width) for name in space}
    return _table(
        torch.tensor([[OPERATIONS.index(name) for name, _, _ in steps] for steps in policies]),
        torch.tensor(
            [[magnitudes[name][place or 0] for name, _, place in steps] for steps in policies]
        ),
        torch.tensor([[space[name][1] for name, _, _ in steps] for steps in policies]),
        torch.tensor([[probability for _, probability, _ in steps] for steps in policies]),
        (height, width),
        device,
    )


@lru_cache
def _trivial_augment(height: int, width: int, device: torch.device) -> _Table:
    """Builds the table, once per size and device."""
    from torchvision.transforms import v2

    theirs: Any = v2.TrivialAugmentWide()
    space = theirs._AUGMENTATION_SPACE
    magnitude = torch.stack(
        [_magnitudes(space, name, theirs.num_magnitude_bins, height, width) for name in space]
    )
    operation = torch.tensor([[OPERATIONS.index(name)] for name in space])
    is_signed = torch.tensor([[is_signed] for _, is_signed in space.values()])
    return _table(
        operation.expand_as(magnitude),
        magnitude,
        is_signed.expand_as(magnitude),
        torch.empty(0),
        (height, width),
        device,
    )


def _table(
    operation: Tensor,
    magnitude: Tensor,
    is_signed: Tensor,
    probability: Tensor,
    size: tuple[int, int],
    device: torch.device,
) -> _Table:
    """Builds a table from tensors (policies, steps) or (operations, strengths) on the CPU."""
    identity = torch.tensor([OPERATIONS.index("Identity")])
    operation_K = torch.cat([operation.flatten(), operation.flatten(), identity])
    magnitude_K = torch.cat([magnitude.flatten(), -magnitude.flatten(), torch.zeros(1)])
    return _Table(
        plan(operation_K, magnitude_K, *size, device),
        is_signed.to(device),
        probability.to(device),
        len(operation_K) - 1,
    )


def _magnitudes(space: dict[str, Any], name: str, count: int, height: int, width: int) -> Tensor:
    """Returns an operation's magnitudes, weakest first, float32; zeros if it has none."""
    magnitudes = space[name][0](count, height, width)
    return torch.zeros(count) if magnitudes is None else magnitudes.float()


def _negative(is_signed_B: Tensor, draws: Draws, stream: str) -> Tensor:
    """Returns True for a random half of the samples whose operation is signed: (B,) bool."""
    return is_signed_B & (draws.integers(stream, 2) == 1)
