"""Folders are read with all subfolders; links are followed once, and what is passed over is counted."""

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from operating_systems import unreadable

from vgg_lit.data.folder_listing import list_folder
from vgg_lit.errors import InputError


def make(root, *paths):
    """Creates empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_linked_folders_are_followed_once(tmp_path):
    root = make(tmp_path / "root", "cat/1.jpg", "dog/1.jpg")
    make(tmp_path / "elsewhere", "more/2.jpg")
    (root / "cat/linked").symlink_to(tmp_path / "elsewhere")
    (root / "dog/linked").symlink_to(tmp_path / "elsewhere")
    (root / "dog/loop").symlink_to(root / "dog")
    (root / "dog/up").symlink_to(tmp_path)
    (tmp_path / "elsewhere/back").symlink_to(root)
    listing = list_folder(root)
    assert listing.image_paths() == ["cat/1.jpg", "cat/linked/more/2.jpg", "dog/1.jpg"]
    assert listing.count_passed_over() == {"links to folders that are read already": 4}


class EntryOfWindows:
    """An entry whose link is a junction: a folder that is no symbolic link."""

    def __init__(self, entry):
        self.name, self.is_dir = entry.name, entry.is_dir
        self._tag = 0xA0000003 if entry.is_symlink() else 0

    def is_symlink(self):
        return False

    def stat(self, follow_symlinks):
        return SimpleNamespace(st_reparse_tag=self._tag)


def test_junctions_are_followed_once(tmp_path, monkeypatch):
    root = make(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (root / "ant").symlink_to(root / "cat")
    (root / "dog/loop").symlink_to(root / "dog")
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: nullcontext(map(EntryOfWindows, scan(path))))
    listing = list_folder(root)
    assert listing.image_paths() == ["cat/1.jpg", "dog/1.jpg"]
    assert listing.count_passed_over() == {"links to folders that are read already": 2}


def test_what_is_passed_over_is_counted(tmp_path):
    root = make(
        tmp_path,
        *("cat/1.jpg", "cat/2.heic", "cat/3.HEIC", "cat/README", "cat/._1.jpg", ".DS_Store"),
        *("@eaDir/cat/1.jpg", ".ipynb_checkpoints/1.jpg", "dog/a.tar.gz"),
    )
    listing = list_folder(root)
    assert listing.image_paths() == ["cat/1.jpg"]
    expected = {".heic": 2, "without ending": 1, "hidden": 3, "@eaDir/": 1, ".gz": 1}
    assert listing.count_passed_over() == expected


@pytest.mark.usefixtures("any_file_name")
def test_names_that_are_not_utf8_are_listed(tmp_path):
    make(tmp_path, "dog/1.jpg")
    os.mkdir(os.fsencode(tmp_path) + b"/ch\xe2t")
    (tmp_path / os.fsdecode(b"ch\xe2t") / os.fsdecode(b"caf\xe9.jpg")).touch()
    found = list_folder(tmp_path).image_paths()
    assert [os.fsencode(path) for path in found] == [b"ch\xe2t/caf\xe9.jpg", b"dog/1.jpg"]


@unreadable
def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    make(tmp_path, "cat/1.jpg").joinpath("cat").chmod(0)
    with pytest.raises(InputError, match="cat: cannot be read"):
        list_folder(tmp_path)


def test_a_link_to_itself_is_an_image_that_cannot_be_read(tmp_path):
    make(tmp_path, "cat/1.jpg")
    (tmp_path / "cat/circle.png").symlink_to("circle.png")
    (tmp_path / "circle").symlink_to("circle")
    listing = list_folder(tmp_path)
    assert listing.image_paths() == ["cat/1.jpg", "cat/circle.png"]
    assert listing.count_passed_over() == {"without ending": 1}
