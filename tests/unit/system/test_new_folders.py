"""Folders of a refused command are removed; those of other processes stay."""

import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.system.new_folders import make_folder, remove_if_unused


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_all_that_was_made_is_removed():
    make_folder(Path("logs/runs/vgg16/1"))
    assert Path("logs/runs/vgg16/1").is_dir()
    remove_if_unused(Path("logs/runs/vgg16/1"))
    assert not Path("logs").exists()
    remove_if_unused(Path("logs/runs/vgg16/1"))  # a second time does nothing


def test_a_parent_that_existed_stays():
    Path("logs").mkdir()
    make_folder(Path("logs/runs/1"))
    remove_if_unused(Path("logs/../logs/runs/1"))
    assert list(Path("logs").iterdir()) == []


def test_a_parent_with_another_folder_stays():
    make_folder(Path("logs/runs/vgg16/1"))
    make_folder(Path("logs/runs/vgg11/1"))
    remove_if_unused(Path("logs/runs/vgg16/1"))
    assert [str(path) for path in Path("logs/runs").iterdir()] == ["logs/runs/vgg11"]
    remove_if_unused(Path("logs/runs/vgg11/1"))  # its parents are of the other call
    assert list(Path("logs/runs").iterdir()) == []


def test_a_folder_with_files_stays():
    make_folder(Path("logs/1"))
    Path("logs/1/config.yaml").touch()
    remove_if_unused(Path("logs/1"))
    assert Path("logs/1/config.yaml").exists()


def test_a_folder_below_a_file_is_an_error():
    Path("logs").touch()
    for path in ("logs/runs", "logs"):
        with pytest.raises(FileExistsError):
            make_folder(Path(path))


def test_a_parent_that_is_removed_meanwhile_is_made_again(monkeypatch):
    mkdir, removed = Path.mkdir, []

    def slow_mkdir(path, *arguments, **options):
        if path.name == "1" and not removed:
            removed.append(path.parent)
            path.parent.rmdir()
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", slow_mkdir)
    make_folder(Path("logs/1"))
    assert removed
    assert Path("logs/1").is_dir()


def test_a_parent_that_cannot_be_kept_is_an_error(monkeypatch):
    def no_parent(path, *arguments, **options):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "mkdir", no_parent)
    with pytest.raises(FileNotFoundError):
        make_folder(Path("logs/1"))


def test_processes_that_make_and_remove_the_same_parents_lose_no_folder(tmp_path):
    code = """
import sys
from pathlib import Path
from vgg_lit.system.new_folders import make_folder, remove_if_unused
for number in range(300):
    path = Path(f"logs/runs/{sys.argv[1]}_{number}")
    make_folder(path)
    (path / "file").touch()
    (path / "file").unlink()
    remove_if_unused(path)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert errors == [""] * 3
    assert not list(tmp_path.glob("logs/runs/*"))
