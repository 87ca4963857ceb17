"""Records the data of a run, and gives a data module the splits of a record.

    record = record_of(datamodule)          # after `setup`
    changes = adopt(datamodule, record)     # after `prepare_data`, before `setup`

`vgg_lit.data.data_record` describes the record, `vgg_lit.data.data_changes` the changes.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from vgg_lit.data.data_changes import Changes, PresentImage, find_changes
from vgg_lit.data.data_record import UNUSED, DataRecord, RecordedImage, SetDigest
from vgg_lit.data.partition import draw_validation
from vgg_lit.data.sources import Images, ResidentImages, Split, has_validation
from vgg_lit.errors import InputError

if TYPE_CHECKING:
    from vgg_lit.data.datamodule import ImageDataModule


@runtime_checkable
class FileSource(Protocol):
    """A data set of image files whose splits can be replaced."""

    def present_images(self) -> dict[str, PresentImage]:
        """Returns the usable images of all splits by path; after `prepare`."""

    def assign(self, splits: Mapping[str, Split], has_validation: bool) -> None:
        """Replaces the splits: each image is in the split of its path, and in none without one."""


def record_of(data: "ImageDataModule", before: DataRecord | None = None) -> DataRecord:
    """Returns the record of a data module after `setup`.

    Args:
        data: the data module, with all splits set up.
        before: earlier record of the run, for the images that it was trained on.
    """
    root = getattr(data.source, "root", None)
    images: tuple[RecordedImage, ...] = ()
    sets: dict[str, SetDigest] = {}
    if isinstance(data.source, FileSource):
        images = tuple(_recorded(data, data.source))
    else:
        sets = {split: digest_of(found) for split, found in data.official_images.items()}
    trained = {image.digest for image in images if image.split == "train"}
    return DataRecord(
        name=data.source.name,
        location=os.path.abspath(root) if root else None,
        classes=data.classes,
        has_validation=has_validation(data.source),
        images=images,
        sets=sets,
        trained_before=before.trained - trained if before else frozenset(),
        accepted=before.accepted if before else (),
    )


def _recorded(data: "ImageDataModule", source: FileSource) -> Iterator[RecordedImage]:
    splits: dict[str, str] = {}
    for name in data.sizes:
        images, ids = data.stored(name)
        assert images.paths is not None
        splits |= {images.paths[i]: name for i in ids.tolist()}
    for path, image in source.present_images().items():
        split = splits.get(path) or f"{UNUSED}{image.place}"
        yield RecordedImage(path, image.label, image.size, image.digest, split)


def digest_of(images: Images) -> SetDigest:
    """Returns the number and the digest of the images of an official split without files.

    Images that another library decodes are compared by their labels alone: their pixels depend on the
    version of the decoder.
    """
    digest = hashlib.sha256()
    if isinstance(images, ResidentImages) and not images.is_decoded:
        pixels = images.images_NCHW.cpu().contiguous().numpy()
        digest.update(str(pixels.shape).encode())
        digest.update(pixels.data)
    digest.update(images.labels_N.cpu().numpy().tobytes())
    return SetDigest(len(images.labels_N), digest.hexdigest())


def adopt(data: "ImageDataModule", record: DataRecord, admits: bool = False) -> Changes:
    """Gives a data module the splits of a record; returns the changes of the images since then.

    Call it after `prepare_data` and before `setup`. A data set without image files keeps the splits of its
    settings; `changed_sets` compares it after `setup`.

    Args:
        data: the data module.
        record: the record.
        admits: True also gives new images a split, by the settings of the data module. If False, they are in
            no split.

    Raises:
        InputError: the record has image files and the data set has none.
    """
    if not record.images:
        return Changes()
    if not isinstance(data.source, FileSource):
        raise InputError(f"data={data.source.name}: has no image files, but the run's data set had")
    present = data.source.present_images()
    changes = find_changes(record, present, data.classes)
    if admits:
        changes.splits |= _admitted(data, record, present, changes)
    places = {path: record.official(split) for path, split in changes.splits.items()}
    data.source.assign(places, record.has_validation)
    data.assigned = changes.splits
    return changes


def _admitted(
    data: "ImageDataModule",
    record: DataRecord,
    present: Mapping[str, PresentImage],
    changes: Changes,
) -> dict[str, str]:
    """Returns the split of each new image; content that was trained on is trained on, or unused."""
    pool = [path for path, image in present.items() if image.place == "train"]
    in_val: set[str] = set()
    if pool and not record.has_validation:
        labels_N = torch.tensor([present[path].label for path in pool])
        in_val_N = draw_validation(data, labels_N, pool)
        in_val = {pool[i] for i in in_val_N.nonzero().flatten().tolist()}
    sizes = {"train": data.train_size, "test": data.test_size}
    splits = {}
    for path in changes.new:
        place = present[path].place
        split = "val" if path in in_val else place
        is_limited = sizes.get(split) is not None
        is_unused = is_limited or (split == "val" and not (data.val_fraction or data.folds))
        splits[path] = f"{UNUSED}{place}" if is_unused else split
    for path in changes.withheld:
        official = present[path].official or "train"
        splits[path] = "train" if official == "train" else f"{UNUSED}{official}"
    return splits


def changed_sets(data: "ImageDataModule", record: DataRecord) -> Changes:
    """Compares the official splits of a data set without files with a record; call it after `setup`."""
    changes = Changes()
    if record.sets:
        found = {split: digest_of(images) for split, images in data.official_images.items()}
        differing = [
            f"{split}: {old.images:,} -> {new.images:,} images"
            for split, new in found.items()
            if (old := record.sets.get(split)) != new and old
        ]
        changes.kinds["splits with other images"] = differing
    return changes


def accepted(record: DataRecord, changes: Changes) -> DataRecord:
    """Returns a record with accepted changes noted in it."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    kinds = {kind: names for kind, names in changes.kinds.items() if names}
    return replace(record, accepted=(*record.accepted, {"time": now, "changes": kinds}))
