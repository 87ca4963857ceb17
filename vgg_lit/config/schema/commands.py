"""The settings of the commands that use, describe or compare trained networks."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vgg_lit.config.schema.sections import (
    DATA_ROOT,
    DATA_ROOT_MEANS,
    NEEDED,
    TRUSTED_MEANS,
    Accelerator,
    Figure,
    MeasuredSplit,
    Names,
    Place,
    Section,
    Seed,
    Split,
    setting,
)
from vgg_lit.value_types import Fit, PositiveInt, Precision, Spec

FigureFormat = Literal["png", "pdf", "svg"]
Format = Literal["onnx", "onnx_int8", "torch_export", "safetensors"]

CHECKPOINT = "Checkpoint of the run: best, last, or a file."
WEIGHTS = "Name of shipped weights to use instead of a run: cifar10 or fashion_mnist."
DEVICE = "Type of device to compute on."


def _listed(value: Any) -> Any:
    """Returns a single name as a list of one."""
    return [value] if isinstance(value, str) else value


Listed = Annotated[Names, BeforeValidator(_listed)]
"""Names; one alone is a list of one."""


class Evaluate(Section):
    """The settings of `vgg_lit.evaluate`."""

    run: str | Names | None = setting(
        None,
        "Run directory; the predictions of a list of runs are averaged; needed unless weights is set.",
    )
    weights: str | None = setting(None, WEIGHTS)
    checkpoint: str = setting("best", CHECKPOINT)
    split: MeasuredSplit = setting(None, "Split; null is test, and all images of another folder.")
    flip: bool = setting(False, "Averages the predictions of an image and its mirror image.")
    scales: Annotated[list[PositiveInt], Field(min_length=1)] | None = setting(
        None, "Sides in pixels to rescale an image to; null is the input size of the network."
    )
    dense: bool = setting(
        False, "Runs the fully connected layers as convolutions over the whole image."
    )
    crops: PositiveInt | None = setting(
        None, "Crops at each scale: k * k, or 2 * k * k with mirror images, such as 50."
    )
    shifts: Annotated[int, Field(ge=0)] = setting(
        0,
        "Averages the image and two copies shifted by this number of pixels, with half the weight.",
    )
    data: Spec | None = setting(
        None, "Data set to evaluate on; without a source it is that of the run.", optional=True
    )
    augment: Spec = setting("none", "Augmentation, which evaluation does not use.")
    metrics: dict[str, Spec | None] | None = setting(
        None, "Metrics besides the accuracies; null is those of the run.", optional=True
    )
    seed: Seed = setting(0, "Seed of the split of another data set.")
    batch_size: PositiveInt | None = setting(None, "Images in a batch; null is as in the run.")
    accelerator: Accelerator = setting("auto", DEVICE)
    precision: Precision | None = setting(
        None, "Number format of the computation; null is as in the run."
    )
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Predict(Section):
    """The settings of `vgg_lit.predict`."""

    run: str | None = setting(
        None, "Run directory; needed unless weights or an exported model is set."
    )
    weights: str | None = setting(None, WEIGHTS)
    exported: str | None = setting(
        None,
        "Exported model to use instead of a run; on the command line: model=<.onnx file or export "
        "folder>.",
    )
    images: str | Names = setting(
        NEEDED,
        "Images to classify: a file, a folder with its subfolders, a quoted glob, or a list of these.",
    )
    invert: bool = setting(
        False, "Inverts the pixels: for photos on white of a network that was trained on black."
    )
    checkpoint: str = setting("best", CHECKPOINT)
    top_k: PositiveInt = setting(5, "Number of classes to list for each image.")
    batch_size: PositiveInt = setting(256, "Images in a batch.")
    output: str | None = setting(
        None, "CSV file to write; null is predictions.csv in the run or next to the model."
    )
    accelerator: Accelerator = setting("auto", DEVICE)
    precision: Precision | None = setting(
        None, "Number format of the computation; null is as in the run."
    )
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Export(Section):
    """The settings of `vgg_lit.export`."""

    run: str = setting(NEEDED, "Run directory.")
    checkpoint: str = setting("best", CHECKPOINT)
    formats: Annotated[list[Format], Field(min_length=1), BeforeValidator(_listed)] = setting(
        ["onnx", "torch_export", "safetensors"], "Formats to write."
    )
    output: str | None = setting(
        None, "Folder to write to; null is the folder export in the run directory."
    )
    fold_bn: bool = setting(
        True, "Folds batch norm into the preceding weights, except in safetensors."
    )
    softmax: bool = setting(False, "Makes programs return probabilities instead of logits.")
    calibration_images: PositiveInt = setting(
        512, "Number of images of the training split that calibrate onnx_int8."
    )
    batch_sizes: Annotated[list[PositiveInt], Field(min_length=1)] = setting(
        [1, 64], "Batch sizes at which parity and latency are measured."
    )
    license: str | None = setting(None, "License of the weights for the model card, such as mit.")
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    data: Place = setting({"root": None}, "Place of the data set of the run.", optional=True)
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class ProcessLauncherSettings(Section):
    """`hydra.launcher`, for the process launcher of sweeps."""

    n_jobs: PositiveInt = setting(
        1, "Number of parallel jobs; CPU threads and GPUs are divided between them."
    )
    grace_seconds: Annotated[float, Field(ge=0)] = setting(
        60, "Seconds from ctrl-C or SIGTERM until running jobs are killed."
    )


class Reproduce(Section):
    """The settings of `vgg_lit.reproduce`."""

    run: str = setting(NEEDED, "Run directory of the finished run.")
    output: str = setting(
        "${run_dir:null,reproduce}",
        "Directory of the new run.",
        shown="logs/runs/reproduce/<date>",
    )
    changes: dict[Annotated[str, Field(pattern=r"^[a-z]")], Any] | None = setting(
        None, "Settings to change, as a mapping such as {trainer.devices: 2}."
    )
    data_root: str | None = setting(
        None, "Folder of the data sets on this machine; null is as in the run."
    )
    data: Place = setting({"root": None}, "Place of the data set of the run.", optional=True)
    trusted_targets: list[str] = setting([], "Packages that the run may import.")


class Preview(Section):
    """The settings of `vgg_lit.preview`."""

    data: Spec = setting("fashion_mnist_sample", "Data set to show images of.")
    augment: Spec = setting("flip_shift", "Augmentation to show.")
    output: str = setting("preview.png", "File to write: .png, .pdf or .svg.")
    images: PositiveInt = setting(8, "Number of rows, one for each training image.")
    epochs: PositiveInt = setting(6, "Number of columns, one for each epoch.")
    seed: Seed = setting(0, "Seed of the images and the augmentation, as in training.")
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Summarize(Section):
    """The settings of `vgg_lit.summarize`."""

    model: Spec | None = setting(
        "vgg13_bn_slim",
        "Network to describe; all is the paper's Table 1 with ResNet-50 and EfficientNet-B0.",
        optional=True,
        is_group=True,
    )
    data: Spec = setting("fashion_mnist_sample", "Data set, for the input size and the classes.")
    augment: Spec = setting("none", "Augmentation, which has no effect here.")
    run: str | None = setting(None, "Run directory; its network replaces model and data.")
    batch_size: PositiveInt | None = setting(
        None, "Batch size for the memory figures; null is data.batch_size."
    )
    precision: Precision | None = setting(
        None, "Number format for the memory figures; null is as in the run, or auto."
    )
    output: str | None = setting(None, "File to write the table to: .json, .csv or .md.")
    seed: Seed = setting(0, "Seed of the splits.")
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Compare(Section):
    """The settings of `vgg_lit.compare`."""

    runs: str | list[str] = setting(
        NEEDED, "A sweep, a folder of runs, a run, latest, a quoted glob, or a list of these."
    )
    sort: str | None = setting(None, "Column to sort by, the best first; null is the first metric.")
    columns: Listed | None = setting(
        None, "Metrics to show; null is accuracy and loss of val and test."
    )
    by: str | list[str] | None = setting(
        None,
        "Settings that define the groups of runs, such as model; null is all that differ, except seeds "
        "and folds.",
    )
    curves: Listed | None = setting(
        None, "Metrics to plot over epochs; null is loss and accuracy of train and val."
    )
    output: str = setting("comparison", "Folder for the tables and curves.png.")
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)


class Stylize(Section):
    """The settings of `vgg_lit.stylize`."""

    content: str = setting(NEEDED, "Picture with the content, an image file.")
    style: str = setting(NEEDED, "Picture with the style, an image file.")
    weights: str = setting(
        NEEDED, "A run, a checkpoint, torchvision, or a file with a torchvision state_dict."
    )
    variant: str = setting("vgg19", "Network of the weights of torchvision.")
    content_layer: str = setting(
        "block4_conv2", "Layer to compare the content at, by the paper's names."
    )
    style_layers: Listed = setting(
        ["block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"],
        "Layers to compare the style at, by the paper's names.",
    )
    content_weight: Annotated[float, Field(ge=0)] = setting(
        1.0, "Weight of the content's relative error."
    )
    style_weight: Annotated[float, Field(gt=0)] = setting(
        100.0, "Weight of the style's relative error."
    )
    steps: PositiveInt = setting(300, "Number of steps; more steps give a finer picture.")
    lr: Annotated[float, Field(gt=0)] = setting(0.02, "Learning rate of Adam, for pixels in 0..1.")
    size: Annotated[int, Field(ge=32)] = setting(
        256, "Side of the picture in pixels, which is square."
    )
    fit: Fit | None = setting(
        None,
        "Way to a square picture, as in data.fit; null is as in the training of the weights, or crop.",
    )
    output: str = setting("stylized.png", "File to write: .png or .jpg.")
    accelerator: Accelerator = setting("auto", DEVICE)


class Visualize(Section):
    """The settings of `vgg_lit.visualize`."""

    run: str = setting(NEEDED, "Run directory; figures/ and report.html are written to it.")
    checkpoint: str = setting("best", CHECKPOINT)
    split: Split = setting("test", "Split to predict.")
    figures: Annotated[list[Figure], Field(min_length=1), BeforeValidator(_listed)] | None = (
        setting(None, "Figures to draw; null is all that can be drawn.")
    )
    formats: Annotated[list[FigureFormat], Field(min_length=1), BeforeValidator(_listed)] = setting(
        ["png"], "Formats of the figures; png is always written, for the report."
    )
    images: PositiveInt = setting(24, "Number of images in each gallery.")
    image: str | None = setting(
        None,
        "Image file for activations, attributions and receptive_field; null is one of the split.",
    )
    layers: Listed | None = setting(
        None,
        "Layers to show, by the paper's names; null is the first convolution of each block.",
    )
    embeddings: Annotated[int, Field(ge=4)] = setting(
        1000, "Number of images in the embedding plots."
    )
    batch_size: PositiveInt | None = setting(None, "Images in a batch; null is as in the run.")
    accelerator: Accelerator = setting("auto", DEVICE)
    precision: Precision | None = setting(
        None, "Number format of the predictions; null is as in the run."
    )
    data_root: str = setting(DATA_ROOT, DATA_ROOT_MEANS, shown="data")
    data: Place = setting({"root": None}, "Place of the data set of the run.", optional=True)
    trusted_targets: list[str] = setting([], TRUSTED_MEANS)
