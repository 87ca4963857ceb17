"""The layouts of image folders: which folder is a split, and which one is a class.

`find_layout` takes a listing and reads nothing. It accepts:

    <class>/                                             undivided
    train/<class>/  test/<class>/  val/<class>/          divided; test or val may be missing
    seg_train/seg_train/<class>/  seg_test/...           with a common prefix, and doubled
    dataset/...                                          any of these in a single folder

A folder that looks like none of them is refused, because a wrong guess trains on wrong labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

from vgg_lit.data.folder_listing import Folder
from vgg_lit.data.image_formats import ENDINGS
from vgg_lit.data.split_names import read_split_name
from vgg_lit.errors import ConfigError
from vgg_lit.system.files import shown_path
from vgg_lit.system.terminal import first_names

_NAMED = 5  # folders that a message names
_REMEDY = "or list the images in a table (data.source.labels=<file>)"


@dataclass(frozen=True)
class Layout:
    """The splits and classes of a folder.

    Attributes:
        base: folder that paths are relative to, itself relative to the listed folder; "" for that one.
        splits: paths of the images by split and class. The splits are "train", "test" and "val", or
            only "all" if the folder is undivided. Classes of "test" and "val" may be empty.
        description: the layout in words.
        passed_over: phrases on the folders and images that are not used.
    """

    base: str
    splits: Mapping[str, Mapping[str, list[str]]]
    description: str
    passed_over: tuple[str, ...] = field(default=())

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted."""
        return tuple(next(iter(self.splits.values())))


def find_layout(listing: Folder, root: str) -> Layout:
    """Returns the layout of a listed folder.

    Args:
        listing: all files and folders.
        root: the folder's name, for messages.

    Raises:
        ConfigError: the layout is unknown or ambiguous, or there are fewer than two classes.
    """
    base = listing
    while True:
        if splits := _split_folders(base, root):
            return _divided(base, splits, root)
        only = _only_folder(base)
        if only is None:
            return _undivided(base, root)
        base = only


def _undivided(base: Folder, root: str) -> Layout:
    classes = _classes(base, root)
    _refuse_split_names(base, root)
    _refuse_same_subfolders(base, root)
    where = f"{shown_path(base.path)}/: " if base.path else ""
    return Layout(
        base.path,
        {"all": _relative(classes, base.path)},
        f"{where}undivided",
        _loose_images(base),
    )


def _divided(base: Folder, found: dict[str, Folder], root: str) -> Layout:
    train = found["train"]
    classes = _classes(train, root)
    _refuse_same_subfolders(train, root)
    splits = {"train": classes}
    for split in ("val", "test"):
        if split in found:
            folder = found[split]
            splits[split] = {key: [] for key in classes} | {
                name: child.image_paths() for name, child in folder.folders.items()
            }
            if odd := sorted(set(folder.folders) - set(classes)):
                raise ConfigError(
                    f"data.root={root}: {shown_path(folder.path)}/ has class folders that "
                    f"{shown_path(train.path)}/ lacks: {first_names(odd, _NAMED)}; rename or remove them"
                )
            if not any(splits[split].values()):
                raise ConfigError(
                    f"data.root={root}: no images in the class folders of {shown_path(folder.path)}/; "
                    f"read: {' '.join(ENDINGS)}; add images or remove the folder"
                )
    names = {split: f"{shown_path(folder.path)}/" for split, folder in found.items()}
    described = f"{names['train']} for training"
    if "test" not in splits:
        splits["test"] = splits.pop("val")
        described += (
            f"; {names['val']} is held out as the test split: it is tested on and selects nothing"
        )
    else:
        described += f", {names['val']} for validation" if "val" in splits else ""
        described += f", {names['test']} for testing"
    used = {folder.path for folder in found.values()}
    others = [
        f"{shown_path(folder.path)}/ ({folder.count_images():,} images)"
        for folder in base.folders.values()
        if not any(path == folder.path or path.startswith(f"{folder.path}/") for path in used)
    ]
    loose = [phrase for folder in (base, *found.values()) for phrase in _loose_images(folder)]
    return Layout(
        base.path,
        {split: _relative(files, base.path) for split, files in splits.items()},
        described,
        (*others, *loose),
    )


def _split_folders(base: Folder, root: str) -> dict[str, Folder]:
    """Returns the folders with the classes of each split; empty if the folder is undivided.

    Raises:
        ConfigError: several folders stand for the same split, or only the training split has classes.
    """
    groups: dict[str, dict[str, list[Folder]]] = {}
    for name, folder in base.folders.items():
        if found := read_split_name(name):
            groups.setdefault(found.rest, {}).setdefault(found.split, []).append(folder)
    groups = {
        rest: group
        for rest, group in groups.items()
        if len(group) > 1 and any(folder.folders for folder in group.get("train", ()))
    }
    if not groups:
        return {}
    if len(groups) > 1:
        names = sorted(name for name in base.folders if read_split_name(name))
        raise ConfigError(
            f"data.root={root}: has several sets of splits: {first_names(names, _NAMED)}; move each set into a "
            "separate folder and choose one"
        )
    (group,) = groups.values()
    for split, folders in group.items():
        if len(folders) > 1:
            names = [shown_path(folder.path) for folder in folders]
            raise ConfigError(
                f"data.root={root}: {' and '.join(names)} both stand for the {split} split; "
                "remove or rename one"
            )
    train = _class_folder(group["train"][0])
    others = {split: folders[0] for split, folders in group.items() if split != "train"}
    labelled = {
        split: _class_folder(folder, set(train.folders))
        for split, folder in others.items()
        if folder.folders
    }
    if not labelled:
        names = sorted(f"{shown_path(folder.path)}/" for folder in others.values())
        raise ConfigError(
            f"data.root={root}: {shown_path(train.path)}/ has class folders and {' and '.join(names)} "
            f"has no class folders; move its images into class folders, {_REMEDY}"
        )
    return {"train": train, **labelled}


def _class_folder(folder: Folder, classes: set[str] | None = None) -> Folder:
    """Returns the folder that holds the classes of a split, which may be doubled: `train/train`."""
    while (only := _only_folder(folder)) and not (classes and set(folder.folders) <= classes):
        folder = only
    return folder


def _only_folder(folder: Folder) -> Folder | None:
    """Returns the single subfolder of a folder without images, if it has subfolders itself."""
    if len(folder.folders) != 1 or folder.images:
        return None
    (only,) = folder.folders.values()
    return only if only.folders else None


def _classes(folder: Folder, root: str) -> dict[str, list[str]]:
    """Returns the images of each class folder.

    Raises:
        ConfigError: there are fewer than two classes, or a class has no images.
    """
    where = f"{shown_path(folder.path)}/ " if folder.path else ""
    names = list(folder.folders)
    if not names:
        loose = f"{len(folder.images):,} images but " if folder.images else ""
        raise ConfigError(
            f"data.root={root}: {where}has {loose}no class folders; make one folder for each class, "
            f"{_REMEDY}"
        )
    if len(names) == 1:
        raise ConfigError(
            f"data.root={root}: {where}has one class folder, {shown_path(names[0])}/; at least two are "
            "needed: give the folder that contains the class folders"
        )
    classes = {name: child.image_paths() for name, child in folder.folders.items()}
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        inside = folder.folders[empty[0]].count_passed_over()
        found = ", ".join(f"{count:,} {kind}" for kind, count in inside.most_common(3))
        raise ConfigError(
            f"data.root={root}: no images in {len(empty)} of {len(names)} class folders: "
            f"{first_names(empty, _NAMED)}{f' ({found})' if found else ''}; read: {' '.join(ENDINGS)}; "
            "remove the folders that are not classes"
        )
    return classes


def _refuse_split_names(base: Folder, root: str) -> None:
    """Refuses classes such as `Testing`; a class may be named `train`, like the vehicle."""
    named = [name for name in base.folders if (found := read_split_name(name)) and not found.rest]
    if not named or [name.casefold() for name in named] == ["train"]:
        if not (named and base.folders[named[0]].folders):
            return
        hint = (
            "there is no test or validation folder with class folders next to it; add one, or move "
            "the class folders of all images into one folder"
        )
    else:
        hint = f"put class folders into train/ and test/, rename the folders, {_REMEDY}"
    raise ConfigError(
        f"data.root={root}: class folders are named like splits: {first_names(named, _NAMED)}; {hint}"
    )


def _refuse_same_subfolders(base: Folder, root: str) -> None:
    """Refuses classes that hold the same subfolders: those are probably the classes or the splits."""
    nested = {name: set(child.folders) for name, child in base.folders.items()}
    nested = {name: inner for name, inner in nested.items() if len(inner) > 1}
    for first, second in combinations(nested, 2):
        common = sorted(nested[first] & nested[second])
        if len(common) < 2:
            continue
        if all(read_split_name(name) for name in common):
            hint = "put the splits outside the classes: train/<class>/ and test/<class>/"
        else:
            hint = f"set data.root to one of them, merge the folders, {_REMEDY}"
        raise ConfigError(
            f"data.root={root}: {shown_path(base.folders[first].path)}/ and "
            f"{shown_path(base.folders[second].path)}/ hold the same subfolders "
            f"({first_names(common, _NAMED)}), so they are not classes; {hint}"
        )


def _loose_images(folder: Folder) -> tuple[str, ...]:
    """Returns a phrase on images that are in no class folder."""
    where = f" in {shown_path(folder.path)}/" if folder.path else ""
    count = len(folder.images)
    return (f"{count:,} images outside the class folders{where}",) if count else ()


def _relative(classes: Mapping[str, list[str]], base: str) -> dict[str, list[str]]:
    start = len(base) + 1 if base else 0
    return {name: [path[start:] for path in paths] for name, paths in classes.items()}
