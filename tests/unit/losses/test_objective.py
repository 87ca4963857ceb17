"""Losses that are built from a config."""

import pytest
import torch
from torch import nn

from vgg_lit.errors import ConfigError
from vgg_lit.losses import Objective

TARGETS = "vgg_lit.losses."


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
    logits, labels = torch.randn(12, 5), torch.arange(12) % 5
    for reduction in ("mean", "sum", "none"):
        spec = {"_target_": "torch.nn.CrossEntropyLoss", "reduction": reduction}
        objective = Objective(spec, 5)
        loss = objective(logits, labels)
        assert objective.is_sum == (reduction == "sum")
        torch.testing.assert_close(objective.mean(loss, 12), nn.CrossEntropyLoss()(logits, labels))
        assert not objective.is_cross_entropy
