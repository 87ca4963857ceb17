"""A folder of custom images: one subfolder per class, with or without a separate test split."""

import hashlib
import os
from pathlib import Path

import torch

from vgg_lit.data import image_cache
from vgg_lit.data.image_files import ImageFiles
from vgg_lit.data.sources import Images, ResidentImages, Split
from vgg_lit.data.splits import stratified_subset
from vgg_lit.errors import InputError
from vgg_lit.system.hardware import count_cores

_SUFFIXES = (".png", ".jpg", ".jpeg")
_TEST_SEED = 0  # not the run's seed: the test set must never change


class ImageFolder:
    """PNG and JPEG files in `root/train/<class>/` and `root/test/<class>/`, or in `root/<class>/`.

    Without a `train` folder, a stratified test split is held out by a hash of the file names. It does
    not depend on the run's seed and is stable when images are added. Files may be in subfolders of
    their class; hidden files and folders and other formats are skipped.

    Args:
        root: folder of the images; never written to.
        in_channels: 1 for grey, 3 for colour; files are converted.
        size: side in pixels; a file's shorter side is resized to it and the centre is cropped.
        in_memory: True decodes once into a cache and holds all images in memory; False decodes
            during training.
        num_workers: number of decoding processes; None uses the available cores, at most 8.
        test_fraction: share of the images held out for testing if there is no `train` folder.
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
    ) -> None:
        if in_channels not in (1, 3):
            raise InputError(f"in_channels={in_channels}: must be 1 (grey) or 3 (colour)")
        if size < 1:
            raise InputError(f"size={size}: must be at least 1 pixel")
        if num_workers is not None and num_workers < 0:
            raise InputError(
                f"num_workers={num_workers}: must be 0 or more, or null for the available cores"
            )
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction={test_fraction}: must be above 0 and below 1")
        self.root = Path(root).expanduser()
        self.in_channels = in_channels
        self.size = size
        self.in_memory = in_memory
        self.num_workers = min(8, count_cores()) if num_workers is None else num_workers
        self.test_fraction = test_fraction
        if not self.root.is_dir():
            raise InputError(f"root={self.root}: no such folder")
        self.has_splits = (self.root / "train").is_dir() and bool(_folders(self.root / "train"))
        self.classes = self._find_classes()

    def prepare(self) -> None:
        """Decodes into the cache, or computes the statistics for normalisation."""
        train, test = self._files("train"), self._files("test")
        if self.in_memory:
            train.decoded()
            test.decoded()
        else:
            train.statistics()

    def load(self, split: Split) -> Images:
        """Returns the images of a split, sorted by class and path."""
        files = self._files(split)
        if not self.in_memory:
            return files
        return ResidentImages(files.decoded(), files.labels_N, files.paths)

    def _find_classes(self) -> tuple[str, ...]:
        if not self.has_splits:
            classes = _folders(self.root)
            if not classes:
                raise InputError(
                    f"root={self.root}: has no class folders; one subfolder per class is needed"
                )
            return classes
        classes, test_classes = _folders(self.root / "train"), _folders(self.root / "test")
        if not test_classes:
            raise InputError(f"root={self.root}: has train/ but no class folders in test/")
        if classes != test_classes:
            odd = ", ".join(sorted(set(classes) ^ set(test_classes)))
            raise InputError(
                f"root={self.root}: train/ and test/ have different class folders: {odd}"
            )
        return classes

    def _files(self, split: Split) -> ImageFiles:
        paths, labels = self._listing(split if self.has_splits else "")
        labels_N = torch.tensor(labels)
        if not self.has_splits:
            in_test_N = self._in_test(paths, labels_N)
            chosen_N = in_test_N if split == "test" else ~in_test_N
            paths = [paths[i] for i in chosen_N.nonzero().flatten().tolist()]
            labels_N = labels_N[chosen_N]
        return ImageFiles(
            self.root,
            tuple(paths),
            labels_N,
            self.in_channels,
            self.size,
            self.num_workers,
            self._cache_file(split),
        )

    def _listing(self, subfolder: str) -> tuple[list[str], list[int]]:
        """Returns the relative paths and labels of all images, sorted by class and path."""
        paths: list[str] = []
        labels: list[int] = []
        for label, name in enumerate(self.classes):
            folder = self.root / subfolder / name
            found = _image_paths(folder, self.root)
            if not found:
                raise InputError(f"{folder}: no PNG or JPEG images in this class folder")
            paths += found
            labels += [label] * len(found)
        return paths, labels

    def _in_test(self, paths: list[str], labels_N: torch.Tensor) -> torch.Tensor:
        size = round(self.test_fraction * len(paths))
        if not 0 < size < len(paths):
            raise InputError(
                f"test_fraction={self.test_fraction}: {size} of {len(paths)} images are for testing;"
                " training and testing need at least one image each"
            )
        digests = (hashlib.sha256(path.encode()).digest() for path in paths)
        ids_N = torch.tensor([int.from_bytes(digest[:7], "big") for digest in digests])
        return stratified_subset(labels_N, ids_N, size, _TEST_SEED, "test split")

    def _cache_file(self, split: Split) -> Path:
        described = (
            f"{self.root.resolve()}|{split}|{self.in_channels}|{self.size}|{self.test_fraction}"
        )
        key = hashlib.sha256(described.encode()).hexdigest()[:16]
        return image_cache.cache_folder() / f"{self.root.name}-{split}-{key}.npy"


def _folders(folder: Path) -> tuple[str, ...]:
    """Returns the names of the visible subfolders, sorted."""
    if not folder.is_dir():
        return ()
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None
    return tuple(sorted(name for name in names if not name.startswith(".")))


def _image_paths(folder: Path, root: Path) -> list[str]:
    """Returns the paths of the images below a folder, relative to root, sorted."""
    found: list[str] = []
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        folder_path = Path(parent).relative_to(root).as_posix()
        found += (f"{folder_path}/{name}" for name in names if _is_image(name))
    return sorted(found)


def _is_image(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")
