"""The settings of `data.source`, for all sources of `vgg_lit.data`."""

from typing import Any, Literal

from vgg_lit.config.schema.sections import Interval, Positive, Target, argument
from vgg_lit.value_types import Fit, Fraction, PositiveInt


class SourceSettings(Target):
    """`data.source`, for the sources of `vgg_lit.data`."""

    target: str = argument("Class of the source.", alias="_target_")
    root: str = argument("Folder of the files.")
    labels: str | None = argument(
        "Class labels of cifar100, fine or coarse; of image_folder, a CSV file with columns file, label "
        "and, optionally, split."
    )
    split: str = argument("Split of EMNIST, such as balanced or letters.")
    extra: bool = argument("Adds the extra training images of SVHN.")
    dataset: str = argument("Class in torchvision.datasets.")
    options: dict[str, Any] | None = argument("Other arguments of that class.")
    path: str = argument("Name on the Hugging Face Hub, or a local folder of parquet files.")
    subset: str | None = argument("Configuration of the data set on the Hub; null is its default.")
    revision: str | None = argument("Branch, tag or commit on the Hub; null is the newest.")
    image: str | None = argument("Image column; null finds it by its type.")
    label: str | None = argument("Label column; null finds it by its type and name.")
    classes: list[str] | None = argument(
        "Class names of a npz file in label order; null is the numbers from 0."
    )
    download: bool = argument("Downloads the files if they are missing.")
    in_channels: PositiveInt = argument("Channels to decode.")
    size: PositiveInt = argument("Side in pixels to resize images to.")
    test_fraction: Fraction = argument(
        "Share held out for testing if the folder is not split into train and test."
    )
    fit: Fit = argument("Way to a square image.")
    damaged: Literal["error", "skip"] = argument(
        "Names the damaged images and stops, or trains without them and records them."
    )
    max_megapixels: Positive = argument("Largest image; a larger one counts as damaged.")
    in_memory: bool = argument(
        "Keeps decoded images in memory; false decodes the files in every epoch."
    )
    num_workers: Interval = argument("Worker processes for decoding.")
