"""The arguments of the groups `loss`, `optimizer` and `scheduler`, which are built by their `_target_`."""

from typing import Annotated, Literal

from pydantic import Field

from vgg_lit.config.schema.sections import (
    Interval,
    NotNegative,
    Pair,
    Positive,
    Share,
    Target,
    argument,
)
from vgg_lit.value_types import Fraction, PositiveInt


class LossGroup(Target):
    """The `loss` group, for the losses of `vgg_lit.losses`."""

    target: str = argument("Class of the loss.", alias="_target_")
    label_smoothing: Fraction = argument(
        "Share of the target probability that is spread over all classes, in training."
    )
    class_weights: Literal["auto", "effective"] | list[NotNegative] | None = argument(
        "Weight of each class, or a method that computes them from the training labels: auto is "
        "inverse frequency, effective is inverse effective number; null is none."
    )
    reduction: Literal["mean", "sum"] = argument(
        "Mean over images, or sum over all images of an optimiser step."
    )
    teacher: str = argument(
        "Run or checkpoint of the network whose class probabilities are learned."
    )
    teacher_sha256: str | None = argument(
        "SHA-256 of the teacher's checkpoint; null is recorded when a run starts."
    )
    temperature: Positive = argument("Divisor of the logits of student and teacher.")
    weight: Share = argument("Share of the teacher in the loss; the rest is cross-entropy.")
    gamma: NotNegative = argument("Power of the focal loss; 0 is cross-entropy.")
    sum_classes: bool = argument("Sums binary cross-entropy over classes; false takes the mean.")
    target_threshold: Share | None = argument(
        "Target probability above which a class counts as present; null keeps probabilities."
    )


class OptimizerGroup(Target):
    """The `optimizer` group, for any optimiser of `torch.optim`."""

    target: str = argument("Class of the optimiser.", alias="_target_")
    lr: Positive = argument("Peak learning rate.")
    weight_decay: NotNegative = argument("Factor of the weight decay.")
    momentum: Fraction = argument("Momentum of SGD.")
    nesterov: bool = argument("Uses Nesterov momentum.")
    betas: Pair = argument("Decay rates of Adam's two moving averages.")
    momentum_decay: NotNegative = argument(
        "Rate at which the momentum of NAdam rises to its limit."
    )
    decoupled_weight_decay: bool = argument(
        "Decays the weights as AdamW, not through the gradient."
    )
    alpha: Fraction = argument("Decay rate of RMSprop's moving average of squared gradients.")
    centered: bool = argument("Divides by the variance of the gradients, not by their mean square.")
    eps: Positive = argument("Constant added to the divisor of a step.")
    decay_norm_and_bias: bool = argument(
        "Applies weight decay to the parameters of norm layers and to biases too."
    )
    layer_rates: dict[str, Positive] | None = argument(
        "Factors on the learning rates of layers or blocks, such as {block1: 0.1}."
    )
    layer_epochs: dict[str, PositiveInt] | None = argument(
        "Epochs after which layers or blocks are fixed, such as {block1: 3}; needs scheduler=linear."
    )
    fused: bool = argument("Uses the fused step of torch where there is one.")
    steps: PositiveInt = argument("Newton-Schulz iterations of Muon.")
    rescale: bool = argument("Sets each matrix to the norm sqrt(rows) before a step of Muon.")
    hidden_fc: bool = argument(
        "Updates the weights of hidden fully connected layers by Muon too, as convolutions."
    )
    adamw_lr: Positive = argument("Peak learning rate of the parameters that AdamW updates.")
    sgd_lr: Positive = argument("Peak learning rate of the parameters that Muon updates by SGD.")
    fc_lr: Positive | None = argument(
        "Peak learning rate of the weights of fully connected layers that Muon does not update; "
        "null is sgd_lr or adamw_lr."
    )
    sgd_momentum: Fraction = argument("Momentum of the parameters that Muon updates by SGD.")


class SchedulerGroup(Target):
    """The `scheduler` group, for the functions of `vgg_lit.optim`."""

    target: str = argument("Function that builds the schedule.", alias="_target_")
    warmup_fraction: Fraction = argument("Share of the run before the peak learning rate.")
    start_factor: Annotated[float, Field(gt=0, le=1)] = argument(
        "First learning rate as a fraction of the peak."
    )
    end_factor: Share = argument("Last learning rate as a fraction of the peak.")
    power: Positive = argument("Exponent of the decrease; 1 is a straight line.")
    final_fraction: Fraction = argument(
        "Share of the run at its end with the last learning rate, as callbacks=swa needs."
    )
    cycles: PositiveInt = argument("Number of decreases; the last one ends with the run.")
    length_factor: Positive = argument("Length of a cycle as a multiple of the previous one.")
    every_epochs: PositiveInt = argument("Epochs between two reductions.")
    milestones: list[PositiveInt] = argument("Epochs after which the learning rate is reduced.")
    factor: Annotated[float, Field(gt=0, le=1)] = argument(
        "Factor on the learning rate at each reduction."
    )
    patience: Interval = argument("Epochs without a rise in accuracy before a reduction.")
    threshold: NotNegative = argument("Smallest increase of the accuracy that is a rise.")
    threshold_mode: Literal["abs", "rel"] = argument(
        "Unit of the threshold: accuracy as a fraction, or a share of the best accuracy."
    )
    min_lr: NotNegative = argument("Lower bound on the learning rate.")
