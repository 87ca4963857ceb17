"""The losses, compared with torch and torchvision."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from vgg_lit.losses import BinaryCrossEntropy, CrossEntropy, Focal

WEIGHTS = [0.5, 2.0, 1.0, 0.25, 1.25]


def batch(kind="labels", count=12, num_classes=5):
    draws = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(count, num_classes, generator=draws, dtype=torch.float64)
    labels = torch.randint(0, num_classes, (count,), generator=draws)
    if kind == "labels":
        return logits, labels
    other = F.one_hot(labels.roll(1), num_classes)
    return logits, 0.7 * F.one_hot(labels, num_classes) + 0.3 * other.double()


@pytest.mark.parametrize("kind", ["labels", "mixed"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_equals_torch(kind, smoothing, reduction, weights):
    logits, targets = batch(kind)
    found = CrossEntropy(smoothing, weights, reduction).double()(logits, targets)
    weight = None if weights is None else torch.tensor(weights).double()
    each = F.cross_entropy(logits, targets, weight, label_smoothing=smoothing, reduction="none")
    expected = each.mean() if reduction == "mean" else each.sum()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["labels", "mixed"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_without_gamma_is_cross_entropy(kind, weights):
    logits, targets = batch(kind)
    found = Focal(0.0, 0.1, weights).double()(logits, targets)
    expected = CrossEntropy(0.1, weights).double()(logits, targets)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_loss_of_two_classes_equals_torchvision(gamma):
    logits, labels = batch(num_classes=2)
    found = Focal(gamma)(logits, labels)
    difference = logits[:, 1] - logits[:, 0]
    expected = sigmoid_focal_loss(
        difference, labels.double(), alpha=-1, gamma=gamma, reduction="mean"
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_has_a_finite_gradient_at_certain_predictions(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    Focal(gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["labels", "mixed"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_binary_cross_entropy_equals_torch(kind, weights):
    logits, targets = batch(kind)
    probabilities = targets.double() if kind == "mixed" else F.one_hot(targets, 5).double()
    weight = None if weights is None else torch.tensor(weights).double()
    for smoothing in (0.0, 0.1):
        smooth = probabilities * (1 - smoothing) + smoothing / 5
        each = F.binary_cross_entropy_with_logits(logits, smooth, weight, reduction="none")
        mean = BinaryCrossEntropy(smoothing, weights).double()(logits, targets)
        torch.testing.assert_close(mean, each.mean(), rtol=1e-6, atol=0)
        total = BinaryCrossEntropy(smoothing, weights, sum_classes=True).double()
        torch.testing.assert_close(total(logits, targets), each.sum(1).mean(), rtol=1e-6, atol=0)


def test_a_threshold_makes_targets_hard():
    logits, targets = batch("mixed")
    found = BinaryCrossEntropy(target_threshold=0.2)(logits, targets)
    expected = F.binary_cross_entropy_with_logits(logits, (targets > 0.2).double())
    torch.testing.assert_close(found, expected)
