"""The arguments of the groups that are built by their `_target_`.

They are for help, reference and editors; a target of the user may have other arguments.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from vgg_lit.config.schema.sections import (
    NEEDED,
    Interval,
    NotNegative,
    Pair,
    Positive,
    Seed,
    Share,
    Target,
    argument,
    setting,
)
from vgg_lit.value_types import Fraction, PositiveInt, Spec

Head = Literal["imagenet", "cifar", "linear", "gap"]
FirstWeights = Literal["kaiming", "xavier", "paper", "pytorch", "dirac", "torchvision"]


class ModelGroup(Target):
    """The `model` group, for `vgg_lit.models.build`."""

    target: str = setting(
        "vgg_lit.models.build", "Function or class that builds the network.", alias="_target_"
    )
    variant: str | list[Any] = setting(
        NEEDED,
        "Name of a variant, or a plan: a list of blocks, each a list of channels or [channels, "
        "kernel].",
    )
    head: Head | dict[str, Any] = setting(
        "linear", "Classifier after the blocks; a mapping sets its hidden layers and dropout."
    )
    width: Positive = setting(1.0, "Factor on every channel count.")
    dropout: Fraction | None = setting(
        None, "Dropout probability of the head; null is the default of the head."
    )
    init: FirstWeights = setting("kaiming", "Scheme of the initial weights.")
    batch_norm: bool | None = setting(
        None, "Uses batch norm; for plans only, because the name of a variant includes it."
    )
    checkpoint_blocks: bool = setting(
        False, "Saves memory in training at the cost of one more forward pass."
    )
    activation: Literal["relu", "gelu"] = setting("relu", "Activation after each convolution.")
    pool_first: bool = setting(
        False, "Puts the pool after the first convolution of its block, before the norm."
    )
    conv_bias: bool = setting(True, "Adds a bias to each convolution.")
    norm_scale: bool = setting(True, "Learns a scale in batch norm.")
    norm_eps: Positive = setting(1e-5, "Constant added to the variance in batch norm.")
    norm_momentum: Share = setting(0.1, "Share of a batch in the running statistics of batch norm.")
    whitening: PositiveInt | None = setting(
        None,
        "Side in pixels of fixed first filters that whiten patches of the training images; null is "
        "no such layer.",
    )
    in_channels: PositiveInt = setting("${data.in_channels}", "Channels of an image.")
    num_classes: PositiveInt | None = setting("${data.num_classes}", "Number of classes.")
    image_size: PositiveInt = setting("${data.image_size}", "Input size in pixels.")


class MixingSettings(Target):
    """`augment.mixing`, for `vgg_lit.data.MixUp` and `vgg_lit.data.CutMix`."""

    target: str = argument("Class of the mixing.", alias="_target_")
    alpha: Positive = argument(
        "Parameter of Beta(alpha, alpha), from which shares are drawn; smaller values mix less."
    )


class JitterSettings(Target):
    """`augment.jitter`, for `vgg_lit.data.ScaleJitter`."""

    image_size: PositiveInt = setting("${data.image_size}", "Side of the crop in pixels.")
    min_scale: PositiveInt | None = setting(
        None,
        "Smallest side in pixels after rescaling, at most that of the images in the data set; null is "
        "image_size.",
    )
    max_scale: PositiveInt | None = setting(
        None, "Largest side in pixels after rescaling; null is twice min_scale."
    )
    whole: bool = setting(
        True, "Crops anywhere in images that are not square; false crops the central square."
    )


class ColourSettings(Target):
    """`augment.colour`, for `vgg_lit.data.ColourShift`."""

    std: NotNegative = setting(
        0.1, "Size of the shift in units of the eigenvalues of the pixel covariance."
    )


class PolicySettings(Target):
    """`augment.autoaugment`, for `vgg_lit.data.AutoAugment`."""

    policy: Literal["cifar10", "imagenet", "svhn"] = setting(
        "cifar10", "Data set that the policy was found on."
    )


class CutoutSettings(Target):
    """`augment.cutout`, for `vgg_lit.data.Cutout`."""

    size: PositiveInt = setting(16, "Side of the square in pixels.")


class AugmentGroup(Target):
    """The `augment` group: one augmentation, or `vgg_lit.data.Compose` of several named ones."""

    target: str = argument("Class of the augmentation.", alias="_target_")
    padding: Interval = argument("Pixels to pad on each side before the random crop.")
    flip: bool | Literal["alternating"] | Spec = argument(
        "Flips images at random; alternating flips an image in every second epoch."
    )
    padding_mode: Literal["zeros", "reflect"] = argument("Content of the padding.")
    probability: Share = argument("Probability that a rectangle of an image is erased.")
    scale: Pair = argument("Smallest and largest share of the image area to erase.")
    ratio: Pair = argument("Smallest and largest height / width of the erased rectangle.")
    mixing: MixingSettings | None = argument("Mixing of the images and labels of a batch.")
    jitter: JitterSettings | None = argument("Random rescaling and crop.")
    colour: ColourSettings | None = argument("Random shift of the colours.")
    autoaugment: PolicySettings | None = argument("AutoAugment.")
    cutout: CutoutSettings | None = argument("Cutout.")


class CheckpointingSettings(Target):
    """`callbacks.checkpointing`, for `vgg_lit.callbacks.Checkpointing`."""

    monitor: str = setting("val/loss", "Metric that selects the best checkpoint.")
    mode: Literal["min", "max"] = setting("min", "Direction in which the metric improves.")
    every_n_epochs: PositiveInt = setting(1, "Epochs between two saves of last.ckpt.")
    every_n_steps: PositiveInt | None = setting(
        None, "Steps between two saves within an epoch; null is none."
    )
    every_n_minutes: Positive | None = setting(
        10, "Minutes between two saves within an epoch; null is none."
    )
    asynchronous: bool | Literal["auto"] = setting(
        "auto",
        "Writes during training, which needs memory for a copy of the state; auto: not on a CPU.",
    )
    keep: Literal["all", "best", "last"] = setting("all", "Checkpoints that a finished run keeps.")


class EarlyStoppingSettings(Target):
    """`callbacks.early_stopping`, for Lightning's `EarlyStopping`."""

    monitor: str = setting("val/acc", "Metric that must improve.")
    mode: Literal["min", "max"] = setting("max", "Direction in which the metric improves.")
    patience: Interval = setting(10, "Epochs without an improvement before training stops.")
    min_delta: NotNegative = setting(0.0, "Smallest change that is an improvement.")


class AverageSettings(Target):
    """`callbacks.ema`, for `vgg_lit.callbacks.MovingAverage`."""

    decay: Share = setting(0.995, "Share of the old average that an update keeps.")
    update_every_n_steps: PositiveInt = setting(1, "Steps between two updates.")


class EpochAverageSettings(Target):
    """`callbacks.swa`, for `vgg_lit.callbacks.EpochAverage`."""

    from_epoch: PositiveInt | None = setting(
        None, "First epoch whose weights are averaged; null is after three quarters of the run."
    )


class LayerTimesSettings(Target):
    """`callbacks.layer_times`, for `vgg_lit.callbacks.LayerTimes`."""

    steps: PositiveInt = setting(20, "Steps to time; the table shows the median.")
    warmup: Interval = setting(3, "First steps that are not timed.")


class TensorBoardSettings(Target):
    """`callbacks.tensorboard`, for `vgg_lit.callbacks.TensorBoard`. An interval of 0 means never."""

    norms: Interval = setting(
        50, "Steps between measurements of the weights and gradients of each layer."
    )
    histograms: Interval = setting(10, "Epochs between histograms of weights and gradients.")
    filters: Interval = setting(10, "Epochs between pictures of the first layer's filters.")
    confusion: Interval = setting(10, "Epochs between confusion matrices.")
    worst: Interval = setting(10, "Epochs between pictures of confident wrong predictions.")
    curves: Interval = setting(10, "Epochs between precision and recall curves by class.")
    embeddings: Interval = setting(50, "Epochs between embeddings of validation images.")
    batch: bool = setting(True, "Writes the first training batch as the network receives it.")
    graph: bool = setting(True, "Writes the graph of the network.")
    images: PositiveInt = setting(16, "Images in a picture.")
    embedded: PositiveInt = setting(256, "Images in the projector.")
    max_share: Annotated[float, Field(gt=0, le=1)] = setting(
        0.02, "Largest share of training time for writing; above it, output is postponed."
    )


class CallbacksGroup(Target):
    """The `callbacks` group: callbacks by name, each with a `_target_`."""

    checkpointing: CheckpointingSettings | None = argument("Saves checkpoints.")
    early_stopping: EarlyStoppingSettings | None = argument(
        "Stops training when a metric stops improving."
    )
    ema: AverageSettings | None = argument(
        "Validates, saves and tests the moving average of the weights."
    )
    swa: EpochAverageSettings | None = argument(
        "Validates, saves and tests the mean of the weights after each of the last epochs."
    )
    layer_times: LayerTimesSettings | None = argument("Times each layer in the first epoch.")
    tensorboard: TensorBoardSettings | None = argument("Writes pictures to TensorBoard.")


class SamplerGroup(Target):
    """The `sampler` group, for the samplers of Optuna."""

    target: str = argument("Class of the sampler.", alias="_target_")
    seed: Seed = argument("Seed of the sampler.")
    n_startup_trials: Interval = argument("Random trials before the model is used.")


class PrunerGroup(Target):
    """The `pruner` group, for the pruners of Optuna."""

    target: str = argument("Class of the pruner.", alias="_target_")
    n_startup_trials: Interval = argument("First trials, which are never pruned.")
    n_warmup_steps: Interval = argument("Epochs of a trial before it can be pruned.")
    min_resource: PositiveInt = argument("Epochs before the first pruning.")
    max_resource: PositiveInt = argument("Epochs of a trial that is not pruned.")
    reduction_factor: PositiveInt = argument("One of this number of trials continues.")
