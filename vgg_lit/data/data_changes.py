"""Differences between the data of a run and the files that are there now, and their splits.

    changes = find_changes(record, present, classes)
    str(changes)        # "1 added (cat/new.jpg), 1 renamed (cat/1.jpg -> cat/one.jpg)"
    changes.splits      # {"cat/000.jpg": "train", ...}, without new images

An image is followed by its content: a renamed file keeps its split. Content that was trained on does not enter a
validation or test split.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vgg_lit.data.data_record import SPLITS, DataRecord, RecordedImage
from vgg_lit.data.sources import Split
from vgg_lit.system.files import shown_path
from vgg_lit.system.terminal import first_names

_NAMED = 5  # images of a kind that a message names


class PresentImage(NamedTuple):
    """An image file that is there now.

    Attributes:
        label: index into the present classes.
        place: split that has it without a record.
        is_divided: True if the folder or a table gives its split.
        size: size of the file in bytes.
        digest: SHA-256 of the file.
    """

    label: int
    place: Split
    is_divided: bool
    size: int
    digest: str

    @property
    def official(self) -> Split | None:
        """The split that the folder or a table gives it; None if they give none."""
        return self.place if self.is_divided else None


@dataclass
class Changes:
    """Differences by kind, and the split of each image that is there.

    Attributes:
        kinds: names of the images, or other descriptions, by kind of change.
        splits: split of each known image by path, as in the record; new images have none.
        new: paths of new images whose content was not trained on.
        withheld: paths outside the training split whose content was trained on.
    """

    kinds: dict[str, list[str]] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    withheld: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(self.kinds.values())

    def __str__(self) -> str:
        return ", ".join(
            f"{len(names):,} {kind} ({first_names(names, _NAMED)})"
            for kind, names in self.kinds.items()
            if names
        )


def find_changes(
    record: DataRecord, present: Mapping[str, PresentImage], classes: Sequence[str]
) -> Changes:
    """Compares a record of image files with the files.

    Args:
        record: the record.
        present: the files by path relative to the folder of the images.
        classes: present class names in label order.
    """
    splits = _unchanged_splits(record, present, classes)
    if splits is not None:
        return Changes(splits=splits)
    changes = Changes()
    kinds = changes.kinds
    kinds["classes removed"] = [c for c in record.classes if c not in classes]
    kinds["classes added"] = [c for c in classes if c not in record.classes]
    for kind in ("removed", "added", "renamed", "relabelled", "with other content", "moved"):
        kinds[kind] = []
    origins = _find_origins(record, present)
    trained = record.trained
    followed = {origin.path for origin in origins.values()}
    recorded = {image.path: image for image in record.images}
    for path, image in sorted(present.items()):
        if origin := origins.get(path):
            _describe(kinds, path, image, origin, record, classes)
        elif path in recorded and path not in followed:
            kinds["with other content"].append(shown_path(path))
        else:
            kinds["added"].append(shown_path(path))
        split = _split_of(path, image, origins.get(path) or recorded.get(path), trained)
        if split is None:
            (changes.withheld if image.digest in trained else changes.new).append(path)
        else:
            changes.splits[path] = split
    kinds["removed"] = [
        shown_path(path) for path in recorded if path not in followed and path not in present
    ]
    return changes


def _unchanged_splits(
    record: DataRecord, present: Mapping[str, PresentImage], classes: Sequence[str]
) -> dict[str, str] | None:
    """Returns the split of each image, or None if anything differs from the record."""
    if record.classes != tuple(classes):
        return None
    official = {split: record.official(split) for split in SPLITS}
    splits = {}
    for path, label, _, digest, split in record.images:
        image = present.get(path)
        if image is None or image.digest != digest or image.label != label:
            return None
        if image.is_divided and image.place != official[split]:
            return None
        splits[path] = split
    return splits if len(splits) == len(present) else None


def _find_origins(
    record: DataRecord, present: Mapping[str, PresentImage]
) -> dict[str, RecordedImage]:
    """Returns the recorded image whose content each present file has: at its path, or at another one."""
    origins: dict[str, RecordedImage] = {}
    missing: dict[str, list[RecordedImage]] = defaultdict(list)
    for image in record.images:
        found = present.get(image.path)
        if found and found.digest == image.digest:
            origins[image.path] = image
        else:
            missing[image.digest].append(image)
    for path, found in sorted(present.items()):
        if path not in origins and (same := missing.get(found.digest)):
            origins[path] = same.pop(0)
    return origins


def _describe(
    kinds: dict[str, list[str]],
    path: str,
    image: PresentImage,
    origin: RecordedImage,
    record: DataRecord,
    classes: Sequence[str],
) -> None:
    """Adds the change of an image with known content, if there is one."""
    old, new = record.classes[origin.label], classes[image.label]
    moved = "" if path == origin.path else f"{shown_path(origin.path)} -> "
    if old != new:
        kinds["relabelled"].append(f"{moved}{shown_path(path)}: {old} -> {new}")
    elif moved:
        kinds["renamed"].append(f"{moved}{shown_path(path)}")
    elif image.official and image.official != (was := record.official(origin.split)):
        kinds["moved"].append(f"{shown_path(path)}: {was} -> {image.official}")


def _split_of(
    path: str, image: PresentImage, known: RecordedImage | None, trained: frozenset[str]
) -> str | None:
    """Returns the recorded split of a file; None if it is new, or was trained on and is held out now."""
    if known is None:
        return None
    if known.split == "train":
        return "train" if image.official in ("train", None) else None
    has_changed = known.path != path or known.digest != image.digest
    return None if has_changed and image.digest in trained else known.split
