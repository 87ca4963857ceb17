"""`vgg cache` shows and clears the decoded images."""

import sys

import numpy as np
import pytest
from filelock import FileLock
from operating_systems import posix

from vgg_lit import cache
from vgg_lit.data.image_cache import cached_array
from vgg_lit.errors import TrainingError
from vgg_lit.system.output import PipeClosed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of two entries."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    for name in ("birds", "cars"):
        file = tmp_path / "cache" / f"{name}.npy"
        cached_array(file, "x", (2, 3), lambda: [np.ones((2, 3), np.uint8)])
    return tmp_path / "cache"


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cache", *arguments])
        cache.main()
        return capsys.readouterr().out

    return run


def test_the_entries_are_listed(folder, run):
    out = run()
    assert "birds" in out
    assert "cars" in out
    assert f"{folder}: 2 entries, 0.0 MB" in out


def test_all_entries_are_removed(folder, run):
    (folder / "notes.txt").write_text("mine")
    assert "cleared" in run("clear")
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]
    assert "0 entries" in run()


def test_an_entry_that_a_process_fills_is_kept(folder, run):
    with FileLock(folder / "cars.lock"):
        assert "; 1 is being filled and was kept" in run("clear")
    assert f"{folder}: 1 entry, 0.0 MB" in run()
    assert np.load(folder / "cars.npy").sum() == 6
    assert not (folder / "birds.npy").exists()


def test_entries_that_processes_fill_are_counted(folder, run):
    with FileLock(folder / "cars.lock"), FileLock(folder / "birds.lock"):
        assert "; 2 are being filled and were kept" in run("clear")


@pytest.fixture
def refused(run, capsys):
    """`refused("x")`: the line on standard error and the exit code."""

    def refused(*arguments):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        return stop.value.code, capsys.readouterr().err

    return refused


def test_other_words_are_refused(refused):
    assert refused("clean") == (2, "error: clean: Usage: vgg cache [clear]\n")


@posix
def test_an_unknown_user_is_one_line(refused, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", "~unknown-user/cache")
    code, line = refused()
    assert code == 2
    assert line.startswith("error: ~unknown-user/cache: this user has no home folder")


def test_an_entry_of_another_user_is_one_line(folder, refused, monkeypatch):
    def refuse(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    code, line = refused("clear")
    assert code == 2
    assert line.startswith("error: [Errno 13] Permission denied: ")


@pytest.mark.parametrize(("error", "code"), [(PipeClosed(), 141), (TrainingError("full"), 1)])
def test_output_that_cannot_be_written_ends_the_command(error, code, folder, refused, monkeypatch):
    def fail(facts):
        raise error

    monkeypatch.setattr(cache, "print_facts", fail)
    assert refused() == (code, "" if code == 141 else "error: full\n")
