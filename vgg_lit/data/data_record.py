"""The record of the data of a run, `data.json`: each image with its size, digest and split.

    record = read_data_record(run.path / "data.json")
    record.images[0]        # RecordedImage("cat/001.jpg", label=0, size=2411, digest="9f86...", split="train")

A data set without image files is recorded by a digest of each official split.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as encode_text  # faster than to encode rows
from pathlib import Path
from typing import Any, NamedTuple

from vgg_lit.data.sources import Split
from vgg_lit.errors import InputError
from vgg_lit.system.files import write_text
from vgg_lit.system.small_files import LARGEST_INTEGER, MOST_VALUES, check_nesting, read_small

VERSION = 1
MAX_BYTES = 1 << 30
"""The largest record that is read: about 8 million images."""

BYTES_BETWEEN_COMMAS = 6
"""Bytes for each comma, at least on average; an image has 15, because of its digest."""

COLUMNS = ["path", "label", "size", "sha256", "split"]
UNUSED = "unused "
"""Prefix of the official split of an image that a setting such as `train_size` leaves out."""

SPLITS = ("train", "val", "test", *(f"{UNUSED}{split}" for split in ("train", "val", "test")))


class RecordedImage(NamedTuple):
    """An image of a record.

    Attributes:
        path: path relative to the folder of the images, with forward slashes.
        label: index into the classes of the record.
        size: size of the file in bytes.
        digest: SHA-256 of the file.
        split: one of `SPLITS`.
    """

    path: str
    label: int
    size: int
    digest: str
    split: str


class SetDigest(NamedTuple):
    """The number of images and the SHA-256 of an official split without files."""

    images: int
    digest: str


@dataclass(frozen=True)
class DataRecord:
    """The data of a run.

    Attributes:
        name: name of the data set.
        location: absolute path of the data set; None if it is in the package.
        classes: class names in label order.
        has_validation: True if the validation images are an official split of the data set.
        images: every image of a data set of files.
        sets: digest of each official split of a data set without files.
        trained_before: digests of images that were trained on and have left the training split.
        accepted: accepted changes, each with the time and the names of the images.
    """

    name: str
    location: str | None
    classes: tuple[str, ...]
    has_validation: bool = False
    images: tuple[RecordedImage, ...] = ()
    sets: Mapping[str, SetDigest] = field(default_factory=dict)
    trained_before: frozenset[str] = frozenset()
    accepted: tuple[Mapping[str, Any], ...] = ()

    @property
    def trained(self) -> frozenset[str]:
        """The digests of all images that the run was trained on."""
        return self.trained_before.union(i.digest for i in self.images if i.split == "train")

    def official(self, split: str) -> Split:
        """Returns the split of the data set that has the images of a recorded split."""
        return official_split(split, self.has_validation)

    def count_copies(self) -> Counter[str]:
        """Returns the number of images by split, "val" or "test", with the content of a training image."""
        trained = self.trained
        return Counter(
            i.split for i in self.images if i.split in ("val", "test") and i.digest in trained
        )


def official_split(split: str, has_validation: bool) -> Split:
    """Returns the split of a data set that has the images of a split of `SPLITS`.

    Args:
        split: the split of an image.
        has_validation: True if the validation images are an official split of the data set.
    """
    if split == "val" and not has_validation:
        return "train"
    return split.removeprefix(UNUSED)  # type: ignore[return-value]


def write_data_record(path: Path, record: DataRecord) -> None:
    """Writes a record, a line an image."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    head = {
        "version": VERSION,
        "name": record.name,
        "location": record.location,
        "classes": list(record.classes),
        "has_validation": record.has_validation,
        "splits": dict(Counter(image.split for image in record.images)),
        "sets": {split: found._asdict() for split, found in record.sets.items()},
        "accepted": list(record.accepted),
        "trained_before": sorted(record.trained_before),
        "columns": COLUMNS,
    }
    lines = [f'"{key}":{encode(value)},\n' for key, value in head.items()]
    rows = ",\n".join(
        f'[{encode_text(path)},{label},{size},{encode_text(digest)},"{split}"]'
        for path, label, size, digest, split in record.images
    )
    write_text(path, f'{{\n{"".join(lines)}"images":[\n{rows}\n]}}\n')


def read_data_record(path: Path) -> DataRecord | None:
    """Reads and checks a record; None if there is no such file.

    The number of commas limits the memory for values before they are parsed.

    Raises:
        InputError: the file cannot be read or is not a record.
    """
    text = read_small(path, MAX_BYTES)
    if text is None:
        return None
    if text.count(b",") > max(MOST_VALUES, len(text) // BYTES_BETWEEN_COMMAS):
        raise InputError(f"{path}: is not a record of data: it holds too many values for its size")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        return _checked(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a record of data: {error!r}") from None


def _checked(content: Any) -> DataRecord:
    if not isinstance(content, dict) or content["version"] != VERSION:
        raise ValueError(f"version is not {VERSION}")
    classes = tuple(_all(str, content["classes"], "classes"))
    images = tuple(RecordedImage(*row) for row in _all(list, content["images"], "images"))
    for path, label, size, digest, split in images:
        is_image = type(path) is str and type(label) is int and 0 <= label < len(classes)
        is_file = type(size) is int and 0 <= size <= LARGEST_INTEGER and type(digest) is str
        if not is_image or not is_file or split not in SPLITS:
            raise ValueError(f"invalid image {[path, label, size, digest, split]}"[:200])
    sets = {split: SetDigest(**found) for split, found in content["sets"].items()}
    for images_of_set, digest in sets.values():
        is_count = type(images_of_set) is int and 0 <= images_of_set <= LARGEST_INTEGER
        if not is_count or type(digest) is not str:
            raise ValueError("invalid sets")
    name, location = content["name"], content["location"]
    if type(name) is not str or type(location) not in (str, type(None)):
        raise ValueError("invalid name or location")
    has_validation = content["has_validation"]
    if type(has_validation) is not bool:
        raise ValueError("invalid has_validation")
    accepted = tuple(_all(dict, content["accepted"], "accepted"))
    check_nesting(accepted, most=MAX_BYTES // BYTES_BETWEEN_COMMAS)
    before = frozenset(_all(str, content["trained_before"], "trained_before"))
    return DataRecord(name, location, classes, has_validation, images, sets, before, accepted)


def _all(kind: type, values: Any, key: str) -> Sequence[Any]:
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise ValueError(f"{key} is not a list of {kind.__name__}")
    return values
