"""Data sets of the Hugging Face Hub, or a local folder of parquet files. Needs the extra `hf`.

The library runs no code of a data set: loading scripts were removed from it in version 4.
"""

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vgg_lit.data.images import MAX_BYTES
from vgg_lit.data.library_images import LibraryImages, Part
from vgg_lit.errors import InputError, one_line
from vgg_lit.system.files import expanded
from vgg_lit.value_types import Fit

_VAL_NAMES = ("validation", "valid", "val", "dev")
_IMAGE_NAMES = ("image", "img", "images", "pixel_values")
_LABEL_NAMES = ("label", "labels", "class", "target", "fine_label")


class HuggingFaceImages(LibraryImages):
    """A data set with one image and one label per row.

    Splits: `train` and `test`; without `test`, `validation` is the test split; without both, images
    of `train` are held out. The columns are found by their type and name.

    Args:
        path: id on the Hub, e.g. "ylecun/mnist", or a local folder of parquet files.
        subset: name of the data set's configuration; None: its default.
        revision: branch, tag or commit on the Hub; None: the newest.
        image: name of the image column; None: the only one.
        label: name of the label column; None: the only one.
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
        path: str,
        subset: str | None = None,
        revision: str | None = None,
        image: str | None = None,
        label: str | None = None,
        in_channels: int = 3,
        size: int = 32,
        in_memory: bool = True,
        num_workers: int | None = None,
        test_fraction: float = 0.2,
        fit: Fit = "crop",
    ) -> None:
        super().__init__(in_channels, size, in_memory, num_workers, test_fraction, fit)
        self.path = path
        self.subset = subset
        self.revision = revision
        self.image = image
        self.label = label
        self.name = Path(path).name
        self._local = expanded(path)
        if not self._local.exists() and (path.count("/") > 1 or path[:1] in ("/", ".", "~")):
            raise InputError(f"path={path}: no such folder")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order; opens the data set, which may download it."""
        return self._class_names

    @cached_property
    def _splits(self) -> dict[str, Any]:
        """The splits of the library: `train`, and `val` and `test` if there are any."""
        datasets = _import()
        arguments: dict[str, Any] = {"path": self.path, "name": self.subset}
        if self._local.is_file():
            arguments = {"path": "parquet", "data_files": str(self._local)}
        elif self._local.is_dir():
            arguments["path"] = str(self._local)
        else:
            arguments["revision"] = self.revision
        try:
            found = datasets.load_dataset(**arguments)
        except Exception as error:  # of many classes, several of them private
            raise InputError(
                f"data.source.path={self.path}: cannot be loaded ({one_line(error)})"
            ) from None
        val = next((name for name in _VAL_NAMES if name in found), None)
        if "train" not in found and len(found) > 1:
            raise InputError(
                f"data.source.path={self.path}: has no split train; it has {', '.join(found)}"
            )
        splits = {"train": found["train"] if "train" in found else next(iter(found.values()))}
        if "test" in found and val:
            splits["val"] = found[val]
        if "train" in found and ("test" in found or val):
            splits["test"] = found["test" if "test" in found else val]
        return splits

    @cached_property
    def _columns(self) -> tuple[str, str]:
        """The names of the image and the label column."""
        features = self._splits["train"].features
        images = [name for name, feature in features.items() if _is_image(feature)]
        labels = [name for name, feature in features.items() if _kind(feature) == "ClassLabel"]
        labels = labels or [
            name
            for name in _LABEL_NAMES
            if name in features and _kind(features[name]) in ("int", "string")
        ]
        return (
            self._choose("image", self.image, images, _IMAGE_NAMES, features),
            self._choose("label", self.label, labels, _LABEL_NAMES, features),
        )

    def _choose(
        self,
        key: str,
        given: str | None,
        found: Sequence[str],
        usual: Sequence[str],
        columns: Collection[str],
    ) -> str:
        if given is not None and given in columns:
            return given
        if given is not None:
            raise InputError(
                f"data.source.{key}={given}: no such column in {self.path};"
                f" allowed: {', '.join(columns)}"
            )
        preferred = found if len(found) == 1 else [name for name in usual if name in found][:1]
        if not preferred:
            raise InputError(
                f"data.source.path={self.path}: {len(found)} {key} columns found; set"
                f" data.source.{key} to one of its columns: {', '.join(columns)}"
            )
        return preferred[0]

    @cached_property
    def _class_names(self) -> tuple[str, ...]:
        train, label = self._splits["train"], self._columns[1]
        feature = train.features[label]
        if _kind(feature) == "ClassLabel":
            return tuple(feature.names)
        if _kind(feature) not in ("int", "string"):
            raise InputError(
                f"data.source.label={label}: is of type {feature}; must be one integer or text"
            )
        values = set(train[label])
        if None in values:
            raise InputError(f"data.source.label={label}: some rows have no label")
        if _kind(feature) == "string":
            return tuple(sorted(values))
        return tuple(map(str, range(1 + max(values, default=0))))

    def _open(self) -> dict[str, Part]:
        return {name: self._part(rows, name) for name, rows in self._splits.items()}

    def _part(self, rows: Any, split: str) -> Part:
        datasets = _import()
        image, label = self._columns
        names = {name: number for number, name in enumerate(self.classes)}
        labels = list(rows[label]) if label in rows.features else []
        if len(labels) != len(rows) or None in labels:
            raise InputError(f"data.source.label={label}: some rows of {split} have no label")
        if labels and isinstance(labels[0], str):
            unknown = sorted(set(labels) - set(names))
            if unknown:
                raise InputError(
                    f"data.source.label={label}: {split} has classes that train does not have:"
                    f" {', '.join(unknown[:10])}"
                )
            labels = [names[value] for value in labels]
        try:
            encoded = rows.select_columns([image]).cast_column(image, datasets.Image(decode=False))
        except Exception as error:  # of pyarrow
            raise InputError(
                f"data.source.image={image}: is not a column of images ({one_line(error)})"
            ) from None
        labels_N = torch.tensor(labels, dtype=torch.int64)
        return Part(_Encoded(encoded, image), labels_N, str(rows._fingerprint))

    def _location(self) -> str:
        place = str(self._local.resolve()) if self._local.exists() else self.path
        return f"{place}|{self.subset}|{self.revision}|{self._columns}|{self.test_fraction}"


class _Encoded:
    """The encoded images of a column."""

    def __init__(self, rows: Any, column: str) -> None:
        self.rows, self.column = rows, column

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> bytes:
        item = self.rows[position][self.column]
        if item is None:
            raise ValueError("no image")
        if item["bytes"] is not None:
            return bytes(item["bytes"])
        path = Path(item["path"])
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path}: no such file, or larger than {MAX_BYTES // 10**6} MB")
        return path.read_bytes()


def _import() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"data=huggingface needs the package datasets ({one_line(error)});"
            ' install it with pip install "vgg_lit[hf]"'
        ) from None
    return datasets


def _kind(feature: Any) -> str:
    """Returns "Image", "ClassLabel", "int", "string", or the class name of a feature."""
    dtype = getattr(feature, "dtype", None)
    if type(feature).__name__ == "Value" and isinstance(dtype, str):
        is_text = dtype in ("string", "large_string")
        return "string" if is_text else "int" if dtype.lstrip("u").startswith("int") else dtype
    return type(feature).__name__


def _is_image(feature: Any) -> bool:
    """Returns True for images, and for the stored form of images without the library's metadata."""
    if isinstance(feature, dict):
        return {"bytes", "path"} == set(feature)
    return _kind(feature) in ("Image", "binary", "large_binary")
