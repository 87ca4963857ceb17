"""The files and folders below a folder, read once: what is an image, and what is passed over.

    listing = list_folder("photos")
    listing.folders["cat"].image_paths()    # ["cat/001.jpg", "cat/more/002.jpg"]

Hidden entries and the folders that archivers and file servers leave behind are passed over. Links to
folders are followed, each folder is read once, so that loops end.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vgg_lit.data.image_formats import is_image_name
from vgg_lit.errors import InputError
from vgg_lit.system.files import shown_path
from vgg_lit.system.operating_system import is_link

STRAY_FOLDERS = (
    *("__MACOSX", "@eaDir", "__pycache__", "lost+found"),
    *("$RECYCLE.BIN", "System Volume Information"),
)
"""Folders that unpacking, file servers and operating systems create."""


@dataclass
class Folder:
    """A folder of a listing.

    Attributes:
        path: path relative to the listed folder, with forward slashes; "" for that folder.
        folders: the visible subfolders by name, sorted.
        images: names of the image files directly in the folder, sorted.
        passed_over: number of the other entries by ending or kind, such as ".txt" and "hidden".
    """

    path: str
    folders: dict[str, "Folder"] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def walk(self) -> Iterator["Folder"]:
        """Yields this folder and all folders below it."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending += folder.folders.values()

    def image_paths(self) -> list[str]:
        """Returns the paths of all images in and below this folder, as `path` is, sorted."""
        return sorted(_join(folder.path, name) for folder in self.walk() for name in folder.images)

    def count_images(self) -> int:
        """Returns the number of images in and below this folder."""
        return sum(len(folder.images) for folder in self.walk())

    def count_passed_over(self) -> Counter[str]:
        """Returns the number of entries that are passed over in and below this folder, by kind."""
        return sum((folder.passed_over for folder in self.walk()), Counter())


def describe_counts(passed_over: Counter[str]) -> list[str]:
    """Formats the number of entries by ending or kind, the most frequent first: ["12 .heic", "5 hidden"]."""
    return [f"{count:,} {kind}" for kind, count in passed_over.most_common()]


def list_folder(root: str | Path) -> Folder:
    """Reads a folder with all its subfolders.

    Raises:
        InputError: a folder cannot be read.
    """
    top = Folder("")
    root = Path(root)
    # a link to a folder around the root would lead into the root again
    seen = {_identity(place) for place in (root, *root.resolve().parents)}
    links: list[tuple[Folder, str]] = []
    _fill(top, root, seen, links)
    while links:  # after the real folders, and sorted: which of two links is followed must not vary
        found, links = sorted(links, key=lambda link: (link[0].path, link[1])), []
        for parent, name in found:
            path = _join(parent.path, name)
            if _identity(root / path) in seen:
                parent.passed_over["links to folders that are read already"] += 1
                continue
            seen.add(_identity(root / path))
            parent.folders[name] = Folder(path)
            _fill(parent.folders[name], root, seen, links)
    for folder in top.walk():
        folder.folders = dict(sorted(folder.folders.items()))
    return top


def _fill(
    folder: Folder, root: Path, seen: set[tuple[int, int]], links: list[tuple[Folder, str]]
) -> None:
    """Reads a folder and the real folders below it; collects the links to folders."""
    pending = [folder]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(root / folder.path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(
                f"{shown_path(root / folder.path)}: cannot be read ({error.strerror})"
            ) from None
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                folder.passed_over["hidden"] += 1
            elif not _is_folder(entry):
                if is_image_name(name):
                    folder.images.append(name)
                else:
                    ending = os.path.splitext(name)[1].lower()
                    folder.passed_over[shown_path(ending) or "without ending"] += 1
            elif name in STRAY_FOLDERS:
                folder.passed_over[f"{name}/"] += 1
            elif is_link(entry):
                links.append((folder, name))
            else:
                child = folder.folders[name] = Folder(_join(folder.path, name))
                seen.add(_identity(root / child.path))
                pending.append(child)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _identity(path: Path) -> tuple[int, int]:
    """Returns device and inode, which links to the same folder share."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{shown_path(path)}: cannot be read ({error.strerror})") from None
    return status.st_dev, status.st_ino
