"""The settings of training and of the search for hyperparameters."""

from typing import Annotated, Any, Literal

from pydantic import Field

from vgg_lit.config.schema.sections import (
    DATA_ROOT,
    DATA_ROOT_MEANS,
    NEEDED,
    TRUSTED_MEANS,
    Accelerator,
    Limit,
    Section,
    Seed,
    setting,
)
from vgg_lit.value_types import Fit, Fraction, PositiveInt, Precision, Spec, Splitting


class Data(Section):
    """The `data` group, for `vgg_lit.ImageDataModule`."""

    target: str = setting("vgg_lit.ImageDataModule", "Class of the data module.", alias="_target_")
    source: Spec = setting(NEEDED, "Source of the images, with a _target_ and its arguments.")
    num_classes: Annotated[int, Field(ge=2)] | None = setting(
        NEEDED, "Number of classes; null is the number of class folders."
    )
    in_channels: PositiveInt = setting(NEEDED, "Channels of an image: 1 for grey, 3 for colour.")
    image_size: PositiveInt = setting(
        32, "Input size of the network in pixels; images of other sizes are padded or resized."
    )
    fit: Fit = setting(
        "crop",
        "Way to a square of images that are not: crop cuts out the central square, pad adds black on two "
        "sides, stretch changes the proportions; the checkpoint keeps it.",
        optional=True,
    )
    batch_size: PositiveInt = setting(128, "Global batch size, summed over all processes.")
    val_fraction: Fraction = setting(
        0.1,
        "Share of the training images for validation; 0 trains on all of them and tests the last "
        "epoch.",
    )
    folds: Annotated[int, Field(ge=2)] | None = setting(
        None,
        "Number of folds of the training images for cross-validation; they replace val_fraction and "
        "an official validation split.",
        optional=True,
    )
    fold: Annotated[int, Field(ge=0)] | None = setting(
        None, "Fold to validate on, from 0; the other folds are trained on.", optional=True
    )
    train_size: PositiveInt | None = setting(None, "Number of training images to use; null is all.")
    test_size: PositiveInt | None = setting(None, "Number of test images to use; null is all.")
    splitting: Splitting = setting(
        "stable",
        "Rule that holds out images of a folder: stable draws each by its name, so that added images "
        "move no others; stratified gives each class its exact share.",
        optional=True,
    )
    balanced: bool = setting(
        False,
        "Shows each class equally often in training; small classes repeat their images.",
        optional=True,
    )
    normalize: Literal["mean_std", "mean", "none"] = setting(
        "mean_std",
        "Statistics of the training pixels to normalise with; mean only subtracts, as in the paper.",
        optional=True,
    )
    augment: Spec = setting("${augment}", "Augmentation of the training images.")
    seed: Seed = setting("${seed}", "Seed of the splits, the order and the augmentation.")
    root: str | None = setting(None, "Folder of the data set.", optional=True)


class Trainer(Section):
    """The `trainer` group, for `lightning.pytorch.Trainer`."""

    target: str = setting("lightning.pytorch.Trainer", "Class of the trainer.", alias="_target_")
    accelerator: Accelerator = setting("auto", "Type of device to train on.")
    devices: PositiveInt | Literal["auto"] | list[Annotated[int, Field(ge=0)]] = setting(
        1,
        "Number of processes, one for each device, or a list of GPU numbers; data.batch_size is "
        "divided between them.",
    )
    num_nodes: PositiveInt = setting(1, "Number of machines.")
    strategy: str = setting("auto", "Lightning strategy; auto is ddp for more than one process.")
    process_timeout: Annotated[float, Field(gt=0)] = setting(
        10, "Minutes without a response from one process until the others end."
    )
    rendezvous_timeout: Annotated[float, Field(gt=0)] = setting(
        5, "Minutes to wait for the processes of all machines to start.", optional=True
    )
    gradient_compression: Literal["bf16"] | None = setting(
        None, "Type of gradients between processes; bf16 halves the traffic."
    )
    precision: Precision = setting(
        "auto",
        "Number format of the computation; auto is bf16-mixed if the hardware computes in bf16, "
        "otherwise 32-true.",
    )
    max_epochs: PositiveInt = setting(18, "Number of epochs.")
    max_steps: Annotated[int, Field(ge=-1)] = setting(
        -1, "Number of optimiser steps after which training stops; -1 is no limit.", optional=True
    )
    max_time: str | None = setting(
        None, "Time after which training stops, as dd:hh:mm:ss.", optional=True
    )
    accumulate_grad_batches: PositiveInt = setting(
        1, "Number of batches whose gradients are summed for one optimiser step."
    )
    gradient_clip_val: Annotated[float, Field(gt=0)] | None = setting(
        1.0, "Largest norm or value of the gradient; null turns clipping off."
    )
    gradient_clip_algorithm: Literal["norm", "value"] | None = setting(
        None, "Clips the norm of the gradient or each value; null is norm.", optional=True
    )
    check_val_every_n_epoch: PositiveInt = setting(1, "Epochs between validations.")
    num_sanity_val_steps: Annotated[int, Field(ge=-1)] = setting(
        0, "Validation batches to run before training; -1 is all."
    )
    log_every_n_steps: PositiveInt = setting(
        50, "Steps between log entries; an epoch with fewer steps is logged once."
    )
    deterministic: bool | Literal["warn"] = setting(
        False, "Makes results bit-identical on a GPU too, at the cost of speed."
    )
    benchmark: bool | None = setting(
        None,
        "Lets cuDNN select the fastest convolutions by timing; null is true unless deterministic.",
        optional=True,
    )
    sync_batchnorm: bool = setting(
        False, "Computes the statistics of batch norm over all processes."
    )
    limit_train_batches: Limit | None = setting(
        None, "Number or share of the training batches in an epoch; null is all.", optional=True
    )
    limit_val_batches: Limit | None = setting(
        None, "Number or share of the validation batches; null is all.", optional=True
    )
    limit_test_batches: Limit | None = setting(
        None, "Number or share of the test batches; null is all.", optional=True
    )
    overfit_batches: Limit = setting(
        0.0, "Number or share of training batches to overfit; 0 is off.", optional=True
    )
    fast_dev_run: bool | PositiveInt = setting(
        False,
        "Runs one batch, or this number of batches, without writing checkpoints.",
        optional=True,
    )
    detect_anomaly: bool = setting(
        False, "Reports the operation whose gradient is not finite.", optional=True
    )
    profiler: Literal["simple", "advanced", "pytorch"] | None = setting(
        None, "Lightning profiler to use.", optional=True
    )
    enable_progress_bar: bool = setting(True, "Shows the progress of each epoch.")


class Init(Section):
    """The weights to start with; checked on the network by `vgg_lit.weights.fine_tuning`."""

    origin: str | None = setting(
        None,
        "Source of the initial weights: a run, a file with a state dict, torchvision, cifar10 or fashion_mnist.",
        alias="from",
    )
    layers: list[str] | dict[str, str] | None = setting(
        None,
        "Layers to copy, as a list or as a mapping from new to source layer; null is all that both "
        "networks have, the last one only for the same classes.",
    )


class Train(Section):
    """The settings of `vgg_lit.train`."""

    name: str | None = setting(
        None, "Folder of the run in logs/runs; null is the experiment or the model."
    )
    seed: Seed = setting(0, "Seed of the initial weights, splits, order, augmentation and dropout.")
    model: Spec = setting("vgg13_bn_slim", "Network to train.")
    data: Spec = setting("fashion_mnist_sample", "Data set to train and test on.")
    augment: Spec = setting("flip_shift", "Augmentation of the training images.")
    loss: Spec = setting("cross_entropy", "Loss of the training.")
    optimizer: Spec = setting("sgd", "Optimiser of the weights.")
    scheduler: Spec = setting("one_cycle", "Schedule of the learning rate.")
    trainer: Spec = setting("default", "Devices, precision and length of training.")
    callbacks: dict[str, Spec | None] | None = setting(
        ["default"],
        "Lightning callbacks, one or several options.",
        optional=True,
        is_group=True,
    )
    metrics: dict[str, Spec | None] | None = setting(
        "none",
        "Metrics of validation and test besides the accuracies, one or several options.",
        optional=True,
        is_group=True,
    )
    logger: dict[str, Spec | None] | None = setting(
        "tensorboard",
        "Lightning loggers, one or several options.",
        optional=True,
        is_group=True,
    )
    tags: list[str] = setting([], "Tags of the run at the loggers.", optional=True)
    label_smoothing: Fraction | None = setting(
        None, "Earlier name of loss.label_smoothing; null keeps that value.", optional=True
    )
    compile: bool | Literal["reduce-overhead", "max-autotune"] = setting(
        False,
        "Compiles the network with torch.compile; the named modes use CUDA graphs on CUDA.",
    )
    small_map_gemm: bool | Literal["auto"] = setting(
        "auto", "Computes 3x3 convolutions of small maps as matrix products."
    )
    init: Spec = setting(None, "Initial weights from another network.")
    freeze: list[str] = setting([], "Layers or blocks that are not trained, such as block1.")
    cache_features: bool = setting(
        False, "Computes the feature maps of frozen first layers once instead of in every epoch."
    )
    find_lr: bool = setting(False, "Finds optimizer.lr with a range test before training.")
    find_batch_size: bool = setting(
        False, "Finds the largest data.batch_size that fits in memory before training."
    )
    test: bool = setting(True, "Tests the best checkpoint after training.")
    objective: str = setting(
        "val/acc",
        "Metric that training returns and that a sweep or a search optimises; losses and errors "
        "are minimised.",
    )
    ckpt_path: str | None = setting(
        None, "Checkpoint to start a new run from, with its optimiser state and epoch."
    )
    resume: str | None = setting(
        None,
        "Run directory to resume from its last checkpoint; auto is the last run with the same "
        "settings.",
    )
    accept_data_changes: bool = setting(
        False,
        "Resumes a run although its images have changed, and records the changes.",
        optional=True,
    )
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Tune(Train):
    """The settings of `vgg_lit.tune`: those that all trials share, and those of the search."""

    space: dict[str, Any] = setting("optimizer", "Ranges to search.")
    sampler: Spec = setting("tpe", "Method that chooses the values of a trial.")
    pruner: Spec = setting("median", "Method that stops trials early.")
    n_trials: PositiveInt = setting(
        20, "Number of trials in the study, over all drivers and restarts."
    )
    n_jobs: PositiveInt = setting(
        1, "Number of parallel trials; CPU threads and GPUs are divided between them."
    )
    storage: Literal["sqlite", "journal"] = setting(
        "sqlite", "Storage of the study; use journal for a folder that several machines share."
    )
