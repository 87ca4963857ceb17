"""The losses of training.

    objective = Objective({"_target_": "vgg_lit.losses.Focal", "gamma": 2.0}, num_classes=10)
    loss = objective(logits_BK, targets)

A loss is called with float32 logits (B, K) and targets: labels (B,), or class probabilities (B, K) if
images are mixed. It returns a scalar, or one value per image (B,). Padding never reaches a loss. A loss
whose attribute `takes_images` is True is also called with the normalised images.
"""

from vgg_lit.losses.by_class import (
    BinaryCrossEntropy,
    ClassLoss,
    CrossEntropy,
    Focal,
    training_loss,
)
from vgg_lit.losses.distillation import Distillation, with_teacher_digest
from vgg_lit.losses.objective import Objective
from vgg_lit.losses.weighting import class_weights, with_class_weights

__all__ = [
    "BinaryCrossEntropy",
    "ClassLoss",
    "CrossEntropy",
    "Distillation",
    "Focal",
    "Objective",
    "class_weights",
    "training_loss",
    "with_class_weights",
    "with_teacher_digest",
]
