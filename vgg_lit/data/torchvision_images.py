"""The classification data sets of torchvision by class name."""

import hashlib
import inspect
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor

from vgg_lit.data.downloads import DownloadError, staging
from vgg_lit.data.library_images import LibraryImages, Part, Positions
from vgg_lit.errors import InputError, one_line, unknown
from vgg_lit.system.files import expanded
from vgg_lit.value_types import Fit


class _Splits(NamedTuple):
    """Constructor arguments of each split; None if the data set does not have it."""

    train: Mapping[str, Any]
    test: Mapping[str, Any] | None = None
    val: Mapping[str, Any] | None = None
    has_download: bool = True


_TRAIN_FLAG = _Splits({"train": True}, {"train": False})
_TRAIN_TEST = _Splits({"split": "train"}, {"split": "test"})
_TRAIN_VAL_TEST = _Splits({"split": "train"}, {"split": "test"}, {"split": "val"})
_UNDIVIDED = _Splits({})

DATASETS: dict[str, _Splits] = {
    "Caltech101": _UNDIVIDED,
    "Caltech256": _UNDIVIDED,
    "Country211": _TRAIN_VAL_TEST._replace(val={"split": "valid"}),
    "DTD": _TRAIN_VAL_TEST,
    "EuroSAT": _UNDIVIDED,
    "FER2013": _TRAIN_TEST._replace(has_download=False),
    "FGVCAircraft": _TRAIN_VAL_TEST,
    "FakeData": _Splits({}, {"random_offset": 1_000_000}, has_download=False),
    "Flowers102": _TRAIN_VAL_TEST,
    "Food101": _TRAIN_TEST,
    "GTSRB": _TRAIN_TEST,
    # the labels of the official test images are not published
    "ImageNet": _Splits({"split": "train"}, {"split": "val"}, has_download=False),
    "Imagenette": _Splits({"split": "train"}, {"split": "val"}),
    "OxfordIIITPet": _Splits({"split": "trainval"}, {"split": "test"}),
    "Places365": _Splits({"split": "train-standard"}, {"split": "val"}),
    "QMNIST": _TRAIN_FLAG,
    "RenderedSST2": _TRAIN_VAL_TEST,
    "SEMEION": _UNDIVIDED,
    "SUN397": _UNDIVIDED,
    "StanfordCars": _TRAIN_TEST._replace(has_download=False),
    "USPS": _TRAIN_FLAG,
}
"""The data sets that give one image and one integer label, and are split by images."""

_OWN_NAMES = {
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "EMNIST": "emnist",
    "FashionMNIST": "fashion_mnist",
    "ImageFolder": "image_folder",
    "KMNIST": "kmnist",
    "MNIST": "mnist",
    "STL10": "stl10",
    "SVHN": "svhn",
}
_LABELS = ("_labels", "targets", "labels", "y")
_SAMPLES = ("_samples", "samples", "imgs")
_FIXED = ("root", "download", "split", "train", "loader", "random_offset")
_ERRORS = (RuntimeError, OSError, ValueError, TypeError, LookupError, EOFError)


class TorchvisionImages(LibraryImages):
    """A data set of `torchvision.datasets`, verified and downloaded by torchvision.

    Args:
        dataset: name of the class, e.g. "OxfordIIITPet".
        root: folder of torchvision's data sets.
        download: True allows downloading a missing data set.
        options: other arguments of the class, e.g. {size: 160px} for Imagenette.
        in_channels: 1 for grey, 3 for colour; images are converted.
        size: side in pixels that images are fitted to.
        in_memory: True decodes once into a cache and holds all images in memory; False decodes
            during training.
        num_workers: number of decoding processes; None uses the available cores, at most 8.
        test_fraction: share of the images held out for testing if there is no test split.
        fit: "crop", "pad" or "stretch", see `vgg_lit.data.fitting.fit_image`.
    """

    def __init__(
        self,
        dataset: str,
        root: str | Path,
        download: bool = True,
        options: dict[str, Any] | None = None,
        in_channels: int = 3,
        size: int = 32,
        in_memory: bool = True,
        num_workers: int | None = None,
        test_fraction: float = 0.2,
        fit: Fit = "crop",
    ) -> None:
        super().__init__(in_channels, size, in_memory, num_workers, test_fraction, fit)
        if dataset in _OWN_NAMES:
            raise InputError(f"dataset={dataset}: use data={_OWN_NAMES[dataset]}")
        if dataset not in DATASETS:
            raise InputError(f"dataset={dataset}: {unknown('data set', dataset, sorted(DATASETS))}")
        self.dataset = dataset
        self.name = dataset
        self.root = expanded(root)
        self.download = download
        self.options = dict(options or {})
        allowed = [
            name
            for name in inspect.signature(_class_of(dataset)).parameters
            if name not in _FIXED and "transform" not in name and name != "kwargs"
        ]
        for option in self.options:
            if option not in allowed:
                raise InputError(
                    f"options.{option}: not an option of {dataset}; allowed: {', '.join(allowed)}"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order; opens the data set, which may download it."""
        return self._class_names

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        dataset = self._train
        for attribute in ("classes", "categories"):
            names = getattr(dataset, attribute, None)
            if names:
                # ImageNet has several names for a class
                return tuple(name if isinstance(name, str) else name[0] for name in names)
        return tuple(map(str, range(1 + int(self._parts["train"].labels_N.max()))))

    @cached_property
    def _train(self) -> Any:
        return self._construct(DATASETS[self.dataset].train)

    def _open(self) -> dict[str, Part]:
        splits = DATASETS[self.dataset]
        parts = {"train": self._part(self._train)}
        for name, arguments in (("val", splits.val), ("test", splits.test)):
            if arguments is not None:
                parts[name] = self._part(self._construct(arguments))
        return parts

    def _construct(self, arguments: Mapping[str, Any]) -> Any:
        """Returns the data set of a split; downloads it under a lock if it is missing."""
        build, splits = _class_of(self.dataset), DATASETS[self.dataset]
        given = {**self.options, **arguments}
        if self.dataset != "FakeData":
            given["root"] = str(self.root)
        if splits.has_download:
            given["download"] = False
        try:
            return build(**given)
        except ImportError as error:
            raise self._needs(error) from None
        except _ERRORS as error:
            if "scipy" in str(error).lower():
                raise self._needs(error) from None
            if not splits.has_download:
                raise InputError(
                    self._remedy(f"not found in {self.root}, and torchvision cannot download it")
                ) from None
            if not self.download:
                raise InputError(
                    self._remedy(f"not found in {self.root}, and download=false")
                ) from None
        try:
            with staging(self.root):
                return build(**{**given, "download": True})
        except (*_ERRORS, ImportError, DownloadError) as error:
            raise InputError(
                self._remedy(
                    f"not found in {self.root}, and the download failed ({one_line(error)})"
                )
            ) from None

    def _part(self, dataset: Any) -> Part:
        try:
            labels = _labels_of(dataset)
            order = _order_of(dataset, len(labels))
            version = _version_of(dataset)
        except _ERRORS as error:
            raise InputError(f"{self.name}: cannot be read ({one_line(error)})") from None
        labels_N = torch.tensor([labels[position] for position in order], dtype=torch.int64)
        return Part(Positions(_Images(dataset), order), labels_N, version)

    def _location(self) -> str:
        return f"{self.root.resolve()}|{sorted(self.options.items())}|{self.test_fraction}"

    def _needs(self, error: Exception) -> InputError:
        name = getattr(error, "name", None) or "scipy"
        package = name.partition(".")[0]
        return InputError(
            f"data.source.dataset={self.dataset}: needs the package {package};"
            f" install it with pip install {package}"
        )

    def _remedy(self, problem: str) -> str:
        return (
            f"{self.dataset}: {problem}; put torchvision's files there,"
            " or use data=fashion_mnist_sample, which needs no download"
        )


class _Images:
    """The images of a torchvision data set."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        return self.dataset[position][0]


def _class_of(name: str) -> Any:
    return getattr(torchvision.datasets, name)


def _labels_of(dataset: Any) -> list[int]:
    """Returns the labels, without decoding images if the data set stores them in a list."""
    for attribute in _LABELS:
        values = getattr(dataset, attribute, None)
        if values is not None and len(values) == len(dataset):
            values = values[:, 0] if isinstance(values, Tensor) and values.ndim == 2 else values
            return [int(value) for value in values]
    for attribute in _SAMPLES:
        samples = getattr(dataset, attribute, None)
        if samples is not None and len(samples) == len(dataset):
            return [int(sample[1]) for sample in samples]
    return [int(dataset[position][1]) for position in range(len(dataset))]


def _order_of(dataset: Any, count: int) -> list[int]:
    """Returns all positions, by path if the data set lists files in the file system's order."""
    files = getattr(dataset, "_image_files", None)
    if files is None or len(files) != count:
        return list(range(count))
    return sorted(range(count), key=lambda position: str(files[position]))


def _version_of(dataset: Any) -> str:
    """Returns a digest of the arrays and of the sizes and times of the files of a data set."""
    digest = hashlib.sha256(torchvision.__version__.encode())
    for name, value in sorted(vars(dataset).items()):
        if isinstance(value, np.ndarray | Tensor):
            digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, list):
            for path in _paths_in(value):
                digest.update(f"{name}|{path}".encode(errors="surrogateescape"))
                try:
                    status = os.stat(path)
                except (OSError, ValueError):  # text that is not a path
                    continue
                digest.update(f"{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _paths_in(values: list[Any]) -> Iterator[str]:
    for value in values:
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, str | os.PathLike):
                yield os.fspath(item)
