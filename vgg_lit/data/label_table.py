"""A table of labels for image files: columns `file` and `label`, and optionally `split`.

    file,label,split
    scans/001.jpg,benign,train
    scans/002.jpg,malignant,test

Files are relative to the image folder. The separator is a comma, a semicolon or a tab.
"""

import codecs
import csv
import io
import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

from vgg_lit.data.image_formats import is_image_name
from vgg_lit.data.layouts import Layout
from vgg_lit.data.split_names import SPELLINGS, read_split_name
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.system.files import shown_path
from vgg_lit.system.small_files import read_small
from vgg_lit.system.terminal import first_names

_COLUMNS = ("file", "label", "split")
_SEPARATORS = ",;\t"
_NAMED = 20  # rows that a message names

LARGEST_TABLE = 2**27
"""Limit on the bytes of a table: a million images with 134 bytes each."""


def read_label_table(path: Path, root: Path, listed: Collection[str]) -> Layout:
    """Returns the splits and classes of a table.

    Classes that are whole numbers are sorted by value, others by name.

    Args:
        path: the table.
        root: the image folder.
        listed: paths of the visible images in the folder, relative to it.

    Raises:
        ConfigError: the table cannot be read, a column or cell is missing, a file does not exist or is
            listed twice, or there are fewer than two classes.
    """
    key = f"data.source.labels={shown_path(path)}"
    rows, has_splits = _read_rows(path, key)
    _check_files([file for file, _, _ in rows], root, set(listed), key)
    names = {label for _, label, _ in rows}
    if len(names) < 2:
        raise ConfigError(f"{key}: has {len(names)} classes; at least two are needed")
    numeric = all(name.isdecimal() and name.isascii() for name in names)
    classes = sorted(names, key=_by_value if numeric else None)
    if not has_splits:
        splits, description = {"all"}, f"labels of {shown_path(path.name)}, undivided"
    else:
        splits = {split for _, _, split in rows}
        if "train" not in splits or len(splits) < 2:
            raise ConfigError(
                f"{key}: the column split has only {', '.join(sorted(splits))}; needed: train, and "
                "test or val; without the column, test images are held out"
            )
        description = f"labels and splits of {shown_path(path.name)}"
    held_out = "val" if has_splits and "test" not in splits else None
    if held_out:
        description += "; val is held out as the test split: it is tested on and selects nothing"
        splits = {"train", "test"}
    files: dict[str, dict[str, list[str]]] = {
        split: {name: [] for name in classes} for split in sorted(splits, reverse=True)
    }
    for file, label, split in rows:
        files["test" if split == held_out else split][label].append(file)
    for per_class in files.values():
        for paths in per_class.values():
            paths.sort()
    unlisted = len(set(listed) - {file for file, _, _ in rows})
    others = (f"{unlisted:,} images that are not in the table",) if unlisted else ()
    return Layout("", files, description, others)


def _by_value(number: str) -> tuple[int, str, str]:
    """Returns a key that sorts decimal numbers by value; Python converts no text of over 4,300 digits."""
    digits = number.lstrip("0")
    return len(digits), digits, number


def _read_rows(path: Path, key: str) -> tuple[list[tuple[str, str, str]], bool]:
    """Returns (file, label, split) of each row, and True if there is a column `split`."""
    try:
        content = read_small(path, LARGEST_TABLE)
    except InputError as error:
        raise ConfigError(f"{key}: {str(error).removeprefix(f'{path}: ')}") from None
    if content is None:
        raise ConfigError(f"{key}: cannot be read: there is no such file")
    try:
        # spreadsheets write "Unicode text" as UTF-16, with a mark at its start
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            # names in another encoding than UTF-8 are the bytes that the file system has
            text = content.decode("utf-8-sig", errors="surrogateescape")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{key}: is not valid UTF-16 ({error.reason}); save it as UTF-8"
        ) from None
    first = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise ConfigError(f"{key}: is not a table ({error})") from None
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    if not {"file", "label"} <= set(header):
        raise ConfigError(
            f"{key}: the first line is {shown_path(first.strip()[:80])!r}; needed: the columns file and "
            "label, and optionally split"
        )
    places = {name: header.index(name) for name in _COLUMNS if name in header}
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if not any(cell.strip() for cell in line):
            continue
        cells = {name: line[at].strip() if at < len(line) else "" for name, at in places.items()}
        for name, cell in cells.items():
            if not cell:
                raise ConfigError(f"{key}: line {number} has no {name}")
        split = "all"
        if "split" in cells:
            found = read_split_name(cells["split"])
            if found is None:
                raise ConfigError(
                    f"{key}: line {number}: split {shown_path(cells['split'])!r} is unknown; allowed: "
                    f"{', '.join(SPELLINGS)}"
                )
            split = found.split
        file = str(PurePosixPath(cells["file"].replace("\\", "/")))
        rows.append((file, cells["label"], split))
    return rows, "split" in places


def _check_files(files: list[str], root: Path, listed: set[str], key: str) -> None:
    """Refuses files that are listed twice, outside the folder, of another format, or missing."""
    seen: set[str] = set()
    twice = [file for file in files if file in seen or seen.add(file)]  # type: ignore[func-returns-value]
    outside = [
        file
        for file in files
        if file not in listed
        and (file.startswith("/") or PureWindowsPath(file).drive or ".." in file.split("/"))
    ]
    others = [file for file in files if not is_image_name(file)]
    absent = [
        file
        for file in files
        if file not in listed and file not in outside and not os.path.isfile(root / file)
    ]
    for problem, found in (
        ("listed twice", twice),
        (f"outside the folder {shown_path(root)}", outside),
        ("not named like images", others),
        (f"not in {shown_path(root)}", absent),
    ):
        if found:
            raise ConfigError(
                f"{key}: {len(found):,} of {len(files):,} files are {problem}: {first_names(found, _NAMED)}"
            )
