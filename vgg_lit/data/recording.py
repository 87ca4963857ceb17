"""Records the data of a run, and gives a data module the splits of a record.

    record = record_of(datamodule)          # after `setup`
    changes = adopt(datamodule, record)     # after `prepare_data`, before `setup`
    hold_out(datamodule, record.trained, "test")     # another folder: without images that were trained on

`vgg_lit.data.data_record` describes the record, `vgg_lit.data.data_changes` the changes.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from vgg_lit.data.data_changes import Changes, PresentImage, find_changes
from vgg_lit.data.data_record import UNUSED, DataRecord, RecordedImage, SetDigest, official_split
from vgg_lit.data.partition import draw_validation, sized
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
        """Replaces the splits: each image is in the split of its path, and in none without one.

        Args:
            splits: split of each image by path.
            has_validation: True if "val" is the validation split; False: its images are not used.
        """


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
        images = _recorded(data, data.source)
    else:
        sets = {split: digest_of(found) for split, found in data.official_images.items()}
    record = DataRecord(
        name=data.source.name,
        location=os.path.abspath(root) if root else None,
        classes=data.classes,
        has_validation=data.has_own_validation,
        images=images,
        sets=sets,
    )
    if before is None:
        return record
    left = before.trained - record.trained
    return replace(record, trained_before=left, accepted=before.accepted)


def _recorded(data: "ImageDataModule", source: FileSource) -> tuple[RecordedImage, ...]:
    splits: dict[str, str] = {}
    for name in data.sizes:
        images, ids = data.stored(name)
        assert images.paths is not None
        splits |= {images.paths[i]: name for i in ids.tolist()}
    return tuple(
        [
            RecordedImage(path, label, size, digest, splits.get(path) or f"{UNUSED}{place}")
            for path, (label, place, _, size, digest) in source.present_images().items()
        ]
    )


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
    if not isinstance(data.source, FileSource):
        if record.images:
            raise InputError(f"data={data.source.name}: has no image files, those of the run had")
        return Changes()
    present = data.source.present_images()
    changes = find_changes(record, present, data.classes)
    if admits:
        changes.splits |= _admitted(data, record, present, changes)
    _assign(data, changes.splits, record.has_validation)
    return changes


def hold_out(data: "ImageDataModule", trained: frozenset[str], split: str) -> int:
    """Removes images that were trained on from validation and test; returns their number.

    Call it after `prepare_data`, or after `adopt`, and before `setup`. After `adopt` the record gives the
    number of test images, otherwise `test_size` does.

    Args:
        data: data module of image files.
        trained: digests of images that were trained on.
        split: split to be measured, "val" or "test"; "all" makes all other images test images.

    Raises:
        InputError: no image of the split is left, or there are fewer test images than `test_size`.
    """
    assert isinstance(data.source, FileSource)
    present = data.source.present_images()
    splits: dict[str, str]
    if split == "all":
        splits, has_val = dict.fromkeys(present, "test"), False
    elif data.assigned is not None:
        splits, has_val = dict(data.assigned), has_validation(data.source)
    else:
        has_val = data.has_own_validation
        splits = _by_settings(data, present, has_val)
    seen = [p for p, image in present.items() if image.digest in trained and p in splits]
    removed = [path for path in seen if splits[path] in ("val", "test")]
    tests = [path for path, place in splits.items() if place == "test"]
    for path in removed:
        del splits[path]
    measured = "val" if split == "val" else "test"
    if removed and measured not in splits.values():
        raise InputError(f"split={split}: all images were trained on, so none is left to measure")
    if data.assigned is None and measured == "test":
        labels_N = torch.tensor([present[path].label for path in tests])
        left = torch.tensor([i for i, path in enumerate(tests) if path in splits])
        kept = set(sized("test_size", data.test_size, data.seed, labels_N, left).tolist())
        splits |= {tests[i]: f"{UNUSED}test" for i in left.tolist() if i not in kept}
    _assign(data, splits, has_val)
    return len(removed)


def _assign(data: "ImageDataModule", splits: dict[str, str], has_val: bool) -> None:
    assert isinstance(data.source, FileSource)
    official = {split: official_split(split, has_val) for split in set(splits.values())}
    places = {path: official[split] for path, split in splits.items()}
    data.source.assign(places, has_val)
    data.assigned = splits


def _by_settings(
    data: "ImageDataModule", present: Mapping[str, PresentImage], has_val: bool
) -> dict[str, str]:
    """Returns the split of each image by the settings of the data module, without its sizes.

    Args:
        data: the data module.
        present: the files by path.
        has_val: True if an official validation split is the validation split; False draws one.
    """
    splits: dict[str, str] = {path: image.place for path, image in present.items()}
    if data.folds or not data.val_fraction:  # neither uses official validation images
        splits |= {path: f"{UNUSED}val" for path, split in splits.items() if split == "val"}
    pool = [path for path, split in splits.items() if split == "train"]
    if pool and not has_val:
        labels_N = torch.tensor([present[path].label for path in pool])
        in_val_N = draw_validation(data, labels_N, pool if data.splitting == "stable" else None)
        splits |= {pool[i]: "val" for i in in_val_N.nonzero().flatten().tolist()}
    return splits


def _admitted(
    data: "ImageDataModule",
    record: DataRecord,
    present: Mapping[str, PresentImage],
    changes: Changes,
) -> dict[str, str]:
    """Returns the split of each new image; content that was trained on is trained on, or unused."""
    drawn = _by_settings(data, present, record.has_validation)
    limited = {"train": data.train_size, "test": data.test_size}
    splits = {
        path: drawn[path] if limited.get(drawn[path]) is None else f"{UNUSED}{drawn[path]}"
        for path in changes.new
    }
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
