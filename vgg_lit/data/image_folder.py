"""A folder of custom images: one subfolder per class, or a table of labels; divided or not."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vgg_lit.data import image_cache
from vgg_lit.data.damaged_images import DamagedImages
from vgg_lit.data.data_changes import PresentImage
from vgg_lit.data.decoding_options import checked_workers
from vgg_lit.data.file_digests import FileDigests
from vgg_lit.data.fitting import named_fit
from vgg_lit.data.folder_listing import describe_counts, list_folder
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.images import MAX_MEGAPIXELS
from vgg_lit.data.label_table import read_label_table
from vgg_lit.data.layouts import Layout, find_layout
from vgg_lit.data.sources import Images, ResidentImages, Split
from vgg_lit.data.splits import TEST_SEED, name_keys, stable_subset, stratified_subset
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.system.files import expanded, first_bytes, shown_path
from vgg_lit.value_types import Fit, Splitting

NAME_BYTES = 38
"""Bytes of the folder's name in that of its cache file, so that the first `files.KEPT` bytes have the key."""


class ImageFolder:
    """Image files in class folders; `vgg_lit.data.layouts` describes the layouts.

    Without a test folder, a test split is held out by a hash of the file names, as `splitting` selects: it
    does not depend on the run's seed, and every class with two or more images is in both splits. A validation
    folder next to a test folder is the validation split; alone it is the test split. Files may be in
    subfolders of their class; hidden files and other formats are passed over.

    Args:
        root: folder of the images; never written to.
        in_channels: 1 for grey, 3 for colour; files are converted.
        size: side in pixels that images are fitted to.
        in_memory: True decodes once into a cache and holds all images in memory; False decodes
            during training.
        num_workers: number of decoding processes; None uses the available cores, at most 8.
        test_fraction: share of the images held out for testing if the folder is not divided.
        labels: table with the labels of the files, in place of class folders, see
            `vgg_lit.data.label_table`; a relative path starts at `root`.
        max_megapixels: images with more pixels are damaged.
        damaged: "error" refuses a folder with damaged images and names them; "skip" leaves them out.
        fit: "crop", "pad" or "stretch", see `vgg_lit.data.fitting.fit_image`.

    Attributes:
        has_validation: True if the folder has a validation split, or `assign` has given it one.
        splits: the splits that have images.
        splitting: rule that holds out the test split of an undivided folder: "stable" or "stratified", as in
            `vgg_lit.data.splits`.
    """

    name = "image_folder"

    def __init__(
        self,
        root: str | Path,
        in_channels: int = 3,
        size: int = 32,
        in_memory: bool = True,
        num_workers: int | None = None,
        test_fraction: float = 0.2,
        labels: str | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        damaged: Literal["error", "skip"] = "error",
        fit: Fit = "crop",
    ) -> None:
        workers = checked_workers(in_channels, size, num_workers, test_fraction, fit)
        if not 0 < max_megapixels < 10_000:
            raise InputError(f"max_megapixels={max_megapixels}: must be above 0 and below 10000")
        if damaged not in ("error", "skip"):
            raise InputError(f"damaged={damaged}: unknown; allowed: error, skip")
        self.root = expanded(root)
        self.in_channels = in_channels
        self.size = size
        self.in_memory = in_memory
        self.num_workers = workers
        self.test_fraction = test_fraction
        self.labels = labels
        self.max_megapixels = max_megapixels
        self.damaged = damaged
        self.fit = fit
        if shown_path(self.root).isascii() and not str(self.root).isascii():
            # configs and checkpoints are UTF-8
            raise ConfigError(
                f"data.root={shown_path(self.root)}: the name of the folder is not UTF-8; rename it, or "
                "give a link to it"
            )
        if self.root.is_file():
            raise ConfigError(
                f"data.root={shown_path(self.root)}: is a file; unpack it and give the folder"
            )
        if not self.root.is_dir():
            raise ConfigError(f"data.root={shown_path(self.root)}: no such folder")
        self._passed_over: Counter[str]
        self._layout = self._read_layout()
        self._names = self._layout.classes
        self.classes = tuple(map(shown_path, self._names))
        self.has_validation = "val" in self._layout.splits
        self.splits: tuple[Split, ...] = _splits(self.has_validation)
        self.splitting: Splitting = "stable"
        self._assigned: dict[str, Split] | None = None
        self._readable: dict[Split, ImageFiles] = {}
        self._damage: dict[str, str] = {}

    @property
    def damaged_files(self) -> Mapping[str, str]:
        """Reasons by path of the damaged images of all splits that are left out; after `prepare`."""
        return self._damage

    def facts(self) -> dict[str, str]:
        """Returns lines for the header of a run: the layout, and the files that are not used."""
        layout = self._layout.description
        if self.is_undivided:
            layout += f", {100 * self.test_fraction:g} % held out for testing"
        lines = {"folder": f"{shown_path(self.root)}: {layout}"}
        if passed_over := [*self._layout.passed_over, *describe_counts(self._passed_over)]:
            lines["passed over"] = ", ".join(passed_over)
        if self._damage:
            lines["left out"] = f"{len(self._damage):,} damaged images"
        return lines

    def prepare(self) -> None:
        """Decodes into the cache, or computes the statistics for normalisation; finds damaged files.

        Raises:
            InputError: images are damaged; the message names those of all splits.
        """
        damage: dict[str, str] = {}
        for split in self.splits:
            damage |= self._find_damage(self._without_damage(split))
        if damage:
            total = sum(len(self._files(split).paths) for split in self.splits)
            raise DamagedImages(self.root, damage, total)

    @property
    def is_undivided(self) -> bool:
        """True if neither folders nor a table divide the images."""
        return "all" in self._layout.splits

    def present_images(self) -> dict[str, PresentImage]:
        """Returns the usable images of all splits by path; after `prepare`."""
        present = {}
        is_divided = not self.is_undivided
        digests = FileDigests(self.root / self._layout.base)
        for split in self.splits:
            files = self._without_damage(split)
            for path, label, (digest, size, _) in zip(
                files.paths, files.labels_N.tolist(), files.contents(digests), strict=True
            ):
                present[path] = PresentImage(label, split, is_divided, size, digest)
        return present

    def assign(self, splits: Mapping[str, Split], has_validation: bool) -> None:
        """Replaces the splits: each image is in the split of its path, and in none without one.

        Args:
            splits: split of each image by path.
            has_validation: True if "val" is the validation split; False: its images are not used.
        """
        self.has_validation = has_validation
        present = {
            path: split for split in self.splits for path in self._without_damage(split).paths
        }
        if present == splits:  # the same images in the same cache
            return
        self._assigned = dict(splits)
        self.splits = _splits(has_validation or "val" in splits.values())
        self._readable = {}

    def load(self, split: Split) -> Images:
        """Returns the images of a split, sorted by class and path."""
        files = self._without_damage(split)
        if not files.paths:
            raise InputError(f"{shown_path(self.root)}: has no {split} images")
        if not self.in_memory:
            return files
        return ResidentImages(files.decoded(), files.labels_N, files.paths)

    def load_whole(self, split: Split) -> ImageFiles:
        """Returns the images of `load`, not cropped; they are decoded when they are read."""
        return replace(self._without_damage(split), fit="whole")

    def _find_damage(self, files: ImageFiles) -> dict[str, str]:
        try:
            if files.paths:
                self._decode(files)
        except DamagedImages as error:
            return error.reasons
        return {}

    def _decode(self, files: ImageFiles) -> None:
        if self.in_memory:
            files.decoded()
        else:
            files.statistics()

    def _read_layout(self) -> Layout:
        listing = list_folder(self.root)
        self._passed_over = listing.count_passed_over()
        if self.labels is None:
            return find_layout(listing, shown_path(self.root))
        table = self.root / expanded(self.labels)
        return read_label_table(table, self.root, listing.image_paths())

    def _without_damage(self, split: Split) -> ImageFiles:
        """Returns the files of a split; with `damaged=skip` without the damaged ones."""
        if split not in self._readable:
            files = self._files(split)
            if self.damaged == "skip":
                damage = files.read_damage()
                if damage is None:
                    damage = self._find_damage(files)
                    files.write_damage(damage)
                self._damage |= damage
                files = files.without(damage)
            self._readable[split] = files
        return self._readable[split]

    def _files(self, split: Split) -> ImageFiles:
        is_selected = self._assigned is not None or self.is_undivided
        found = list(self._layout.splits) if is_selected else [split]
        pairs = [
            (path, label)
            for label, name in enumerate(self._names)
            for path in sorted(path for part in found for path in self._layout.splits[part][name])
        ]
        paths = [path for path, _ in pairs]
        labels_N = torch.tensor([label for _, label in pairs], dtype=torch.int64)
        if is_selected:
            in_split_N = self._in_split(split, paths, labels_N)
            paths = [paths[i] for i in in_split_N.nonzero().flatten().tolist()]
            labels_N = labels_N[in_split_N]
        return ImageFiles(
            self.root / self._layout.base,
            tuple(paths),
            labels_N,
            self.in_channels,
            self.size,
            self.num_workers,
            self._cache_file(split),
            self.max_megapixels,
            self.fit,
        )

    def _in_split(self, split: Split, paths: list[str], labels_N: Tensor) -> Tensor:
        """Returns the mask of the images in a split that is assigned or held out."""
        if self._assigned is not None:
            return torch.tensor([self._assigned.get(path) == split for path in paths])
        in_test_N = self._in_test(paths, labels_N)
        return in_test_N if split == "test" else ~in_test_N

    def _in_test(self, paths: list[str], labels_N: Tensor) -> Tensor:
        keys_N = name_keys(paths)
        draw = partial(stable_subset, labels_N, keys_N, self.test_fraction)
        if self.splitting == "stratified":
            size = round(self.test_fraction * len(paths))
            draw = partial(stratified_subset, labels_N, keys_N, size)
        in_test_N = draw(TEST_SEED, "test split", at_least=1, keep=1)
        if not in_test_N.any():
            raise InputError(
                f"data.root={shown_path(self.root)}: each of the {len(self._names):,} classes has one "
                "image, so none can be held out for testing; add images, or divide the folder into "
                "train/ and test/"
            )
        return in_test_N

    def _cache_file(self, split: Split) -> Path:
        described = (
            f"{self.root.resolve()}|{split}|{self.in_channels}|{self.size}|{self.test_fraction}"
            f"|{self.labels}|{self.max_megapixels}{named_fit(self.fit)}"
        )
        if self._assigned is not None:  # does not replace the images of the present splits
            described += "|assigned"
        key = hashlib.sha256(os.fsencode(described)).hexdigest()[:16]
        name = first_bytes(re.sub(r"[^\w.-]", "_", shown_path(self.root.name)), NAME_BYTES)
        return image_cache.cache_folder() / f"{name}-{split}-{key}.npy"


def _splits(has_validation: bool) -> tuple[Split, ...]:
    return ("train", "val", "test") if has_validation else ("train", "test")
