"""The losses, compared with torch and torchvision, and class weights."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from vgg_lit.errors import ConfigError, InputError
from vgg_lit.losses import (
    EFFECTIVE_BETA,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Objective,
    class_weights,
    with_class_weights,
)

WEIGHTS = [0.5, 2.0, 1.0, 0.25, 1.25]
TARGETS = "vgg_lit.losses."


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


def test_inverse_frequency_is_the_balanced_weight_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 10)
    found = class_weights("auto", labels, 3)
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert found == pytest.approx(list(balanced), rel=1e-5)


@pytest.mark.parametrize("method", ["auto", "effective"])
def test_class_weights_have_mean_1_over_images_and_0_without_images(method):
    labels = torch.tensor([0] * 7000 + [1] * 200 + [3] * 10)
    found = class_weights(method, labels, 4)
    assert found[2] == 0
    assert torch.tensor(found)[labels].mean().item() == pytest.approx(1, rel=1e-4)


def test_effective_numbers_are_those_of_the_paper():
    counts = torch.tensor([7000.0, 200.0]).double()
    found = class_weights("effective", torch.tensor([0] * 7000 + [1] * 200), 2)
    paper = (1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts)
    assert found[1] / found[0] == pytest.approx((paper[1] / paper[0]).item(), rel=1e-5)


def test_a_method_is_replaced_by_numbers():
    spec = {"_target_": "mine.Loss", "class_weights": "auto"}
    replaced = with_class_weights(spec, torch.tensor([0, 0, 0, 1]), 2)
    assert replaced["class_weights"] == [0.666667, 2.0]
    assert with_class_weights(replaced, None, 2) == replaced
    with pytest.raises(InputError, match=r"loss\.class_weights=auto: needs a data module"):
        with_class_weights(spec, None, 2)
    with pytest.raises(ConfigError, match="allowed: auto, effective, null"):
        with_class_weights({**spec, "class_weights": "best"}, torch.tensor([0, 1]), 2)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"_target_": TARGETS + "Focal", "gama": 1.0}, r"loss\.gama"),
        ({"_target_": TARGETS + "Focal", "gamma": -1.0}, r"loss\.gamma=-1\.0"),
        ({"_target_": TARGETS + "CrossEntropy", "label_smoothing": 1.0}, "less than 1"),
        ({"_target_": TARGETS + "CrossEntropy", "reduction": "max"}, r"loss\.reduction=max"),
        ({"_target_": TARGETS + "CrossEntropy", "class_weights": [1.0]}, "1 weights for 2 classes"),
        ({"_target_": TARGETS + "CrossEntropy", "class_weights": [1.0, -1.0]}, "at least 0"),
        ({"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 2}, "has parameters"),
        ({"_target_": "os.getcwd"}, "only names under"),
    ],
)
def test_a_loss_that_cannot_be_used_is_one_line(spec, named):
    with pytest.raises(ConfigError, match=named) as caught:
        Objective(spec, 2)
    assert "\n" not in str(caught.value)


def test_any_loss_of_torch_is_an_objective():
    logits, labels = batch()
    for reduction in ("mean", "sum", "none"):
        spec = {"_target_": "torch.nn.CrossEntropyLoss", "reduction": reduction}
        objective = Objective(spec, 5)
        loss = objective(logits, labels)
        assert objective.is_sum == (reduction == "sum")
        torch.testing.assert_close(objective.mean(loss, 12), nn.CrossEntropyLoss()(logits, labels))
        assert not objective.is_cross_entropy
