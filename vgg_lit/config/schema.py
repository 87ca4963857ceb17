"""What every verb is told: the keys of its config and their types.

Values that need more than a type, such as a network's arguments, are checked by `vgg_lit.config.checks`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vgg_lit.value_types import Fraction, PositiveInt, Precision, Spec

Limit = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)] | None
Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]
Figure = Literal[
    "history",
    "confusion",
    "classes",
    "pairs",
    "galleries",
    "calibration",
    "filters",
    "activations",
    "embeddings",
    "attributions",
    "receptive_field",
    "augmentation",
]
Format = Literal["onnx", "onnx_int8", "torch_export", "safetensors"]


def _listed(value: Any) -> Any:
    """A single name as a list of one."""
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """A part of a config: no other keys, no other types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Data(Section):
    """The `data` group, for `vgg_lit.ImageDataModule`."""

    target: str = Field(alias="_target_")
    source: Spec
    num_classes: Annotated[int, Field(ge=2)] | None
    in_channels: PositiveInt
    image_size: PositiveInt
    batch_size: PositiveInt
    val_fraction: Fraction
    train_size: PositiveInt | None
    test_size: PositiveInt | None
    normalize: Literal["mean_std", "mean", "none"] = "mean_std"
    balanced: bool = False
    augment: Spec
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    root: str | None = None


class Trainer(Section):
    """The `trainer` group, for `lightning.pytorch.Trainer`."""

    target: str = Field(alias="_target_")
    accelerator: Accelerator
    devices: PositiveInt | Literal["auto"] | list[Annotated[int, Field(ge=0)]]
    num_nodes: PositiveInt
    strategy: str
    process_timeout: Annotated[float, Field(gt=0)]
    rendezvous_timeout: Annotated[float, Field(gt=0)] = 5
    gradient_compression: Literal["bf16"] | None
    precision: Precision
    max_epochs: PositiveInt
    max_steps: Annotated[int, Field(ge=-1)] = -1
    max_time: str | None = None
    accumulate_grad_batches: PositiveInt
    gradient_clip_val: Annotated[float, Field(gt=0)] | None
    gradient_clip_algorithm: Literal["norm", "value"] | None = None
    check_val_every_n_epoch: PositiveInt
    log_every_n_steps: PositiveInt
    num_sanity_val_steps: Annotated[int, Field(ge=-1)]
    deterministic: bool | Literal["warn"]
    benchmark: bool | None = None
    sync_batchnorm: bool
    limit_train_batches: Limit = None
    limit_val_batches: Limit = None
    limit_test_batches: Limit = None
    overfit_batches: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)] = 0.0
    fast_dev_run: bool | PositiveInt = False
    detect_anomaly: bool = False
    profiler: Literal["simple", "advanced", "pytorch"] | None = None
    enable_progress_bar: bool


class Init(Section):
    """The weights to start with; checked on the network by `vgg_lit.weights.fine_tuning`."""

    origin: str | None = Field(alias="from")
    layers: list[str] | dict[str, str] | None


class Train(Section):
    """Everything `vgg_lit.train` is told."""

    name: str | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    model: Spec
    data: Spec
    augment: Spec
    optimizer: Spec
    scheduler: Spec
    trainer: Spec
    callbacks: dict[str, Spec | None] | None = None
    logger: dict[str, Spec | None] | None = None
    label_smoothing: Fraction
    compile: bool | Literal["reduce-overhead", "max-autotune"]
    small_map_gemm: bool | Literal["auto"]
    init: Spec
    freeze: list[str]
    cache_features: bool
    find_lr: bool
    find_batch_size: bool
    test: bool
    objective: str
    ckpt_path: str | None
    resume: str | None
    data_root: str
    trusted_targets: list[str]


class Tune(Train):
    """Everything `vgg_lit.tune` is told: what all trials share, and how to search."""

    space: dict[str, Any]
    sampler: Spec
    pruner: Spec
    n_trials: PositiveInt
    n_jobs: PositiveInt
    storage: Literal["sqlite", "journal"]


class Evaluate(Section):
    """Everything `vgg_lit.evaluate` is told."""

    run: str | Annotated[list[str], Field(min_length=1)]
    checkpoint: str
    split: Literal["test", "val"]
    flip: bool
    scales: Annotated[list[PositiveInt], Field(min_length=1)] | None
    dense: bool
    crops: PositiveInt | None
    augment: Spec
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    batch_size: PositiveInt | None
    accelerator: Accelerator
    precision: Precision | None
    data_root: str
    trusted_targets: list[str]


class Predict(Section):
    """Everything `vgg_lit.predict` is told."""

    run: str | None
    exported: str | None
    images: str
    checkpoint: str
    top_k: PositiveInt
    batch_size: PositiveInt
    output: str | None
    accelerator: Accelerator
    trusted_targets: list[str]


class Export(Section):
    """Everything `vgg_lit.export` is told."""

    run: str
    checkpoint: str
    formats: Annotated[list[Format], Field(min_length=1), BeforeValidator(_listed)]
    output: str | None
    fold_bn: bool
    softmax: bool
    calibration_images: PositiveInt
    batch_sizes: Annotated[list[PositiveInt], Field(min_length=1)]
    license: str | None
    trusted_targets: list[str]


class ProcessLauncherSettings(Section):
    """`hydra.launcher`, for the process launcher of sweeps."""

    n_jobs: PositiveInt
    grace_seconds: Annotated[float, Field(ge=0)]


class Reproduce(Section):
    """Everything `vgg_lit.reproduce` is told."""

    run: str
    output: str
    changes: dict[Annotated[str, Field(pattern=r"^[a-z]")], Any] | None
    data_root: str | None
    trusted_targets: list[str]


class Preview(Section):
    """Everything `vgg_lit.preview` is told."""

    data: Spec
    augment: Spec
    output: str
    images: PositiveInt
    epochs: PositiveInt
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    data_root: str
    trusted_targets: list[str]


class Summarize(Section):
    """Everything `vgg_lit.summarize` is told."""

    model: Spec | None = None
    data: Spec
    augment: Spec
    run: str | None
    batch_size: PositiveInt | None
    precision: Precision | None
    output: str | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    data_root: str
    trusted_targets: list[str]


class Compare(Section):
    """Everything `vgg_lit.compare` is told."""

    runs: str | Annotated[list[str], Field(min_length=1)]
    sort: str | None
    metrics: Annotated[list[str], Field(min_length=1)] | None
    curves: Annotated[list[str], Field(min_length=1)] | None
    output: str
    trusted_targets: list[str]


class Stylize(Section):
    """Everything `vgg_lit.stylize` is told."""

    content: str
    style: str
    weights: str
    variant: str
    content_layer: str
    style_layers: Annotated[list[str], Field(min_length=1)]
    content_weight: Annotated[float, Field(ge=0)]
    style_weight: Annotated[float, Field(gt=0)]
    steps: PositiveInt
    lr: Annotated[float, Field(gt=0)]
    size: Annotated[int, Field(ge=32)]
    output: str
    accelerator: Accelerator


class Visualize(Section):
    """Everything `vgg_lit.visualize` is told."""

    run: str
    checkpoint: str
    split: Literal["test", "val"]
    figures: Annotated[list[Figure], Field(min_length=1)] | None
    images: PositiveInt
    image: str | None
    layers: Annotated[list[str], Field(min_length=1)] | None
    embeddings: Annotated[int, Field(ge=4)]
    batch_size: PositiveInt | None
    accelerator: Accelerator
    precision: Precision | None
    trusted_targets: list[str]
