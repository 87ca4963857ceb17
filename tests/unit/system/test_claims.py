"""At most one process trains in a directory, also where open files cannot be renamed."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vgg_lit.errors import InputError
from vgg_lit.system import claims
from vgg_lit.system.claims import claim, claimed, is_held, release, rename_claimed


def test_a_claim_excludes_other_processes_until_its_release(tmp_path):
    folder = tmp_path / "run"
    attempt = (
        f"from pathlib import Path; from vgg_lit.system.claims import claim; "
        f"print(claim(Path({str(folder)!r})))"
    )

    def claims_elsewhere():
        done = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True)
        return done.stdout.strip() == "True"

    with claimed(folder):
        assert not claims_elsewhere()
        with claimed(folder):  # within this process it may be repeated
            pass
        assert not claims_elsewhere()
    assert not folder.exists()
    assert claims_elsewhere()


def test_a_claim_of_another_process_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "take_lock", lambda path, is_inherited: None)
    with (
        pytest.raises(InputError, match="another process is training this run; wait until"),
        claimed(tmp_path),
    ):
        raise AssertionError("the context was entered")


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.run: the directory cannot be written \("):
        claim(tmp_path / "file" / "run")
    assert not is_held(tmp_path / "file" / "run")


def test_a_claim_ends_after_an_error_and_leaves_files(tmp_path):
    folder = tmp_path / "run"

    def fail():
        with claimed(folder):
            (folder / "config.yaml").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not is_held(folder)
    assert (folder / "config.yaml").exists()
    release(folder)  # a second time does nothing
    assert (folder / "config.yaml").exists()


def test_a_claim_is_of_the_directory_whatever_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with claimed(Path("run")):
        assert is_held(tmp_path / "run")
        assert is_held(tmp_path / "link")
        assert not is_held(tmp_path)


def test_a_renamed_directory_that_is_claimed_elsewhere_meanwhile_is_an_error(tmp_path, monkeypatch):
    assert claim(tmp_path / "run")
    (tmp_path / "run" / "file").touch()
    monkeypatch.setattr(claims, "take_lock", lambda path, is_inherited: None)
    with pytest.raises(OSError, match="another process has claimed it"):
        rename_claimed(tmp_path / "run", tmp_path / "old")
    assert not is_held(tmp_path / "run")


@pytest.fixture
def open_files_are_held(monkeypatch):
    """Refuses to remove and to rename open files of this process and their folders, as Windows does."""

    def refusing(method):
        def act(path, *arguments, **options):
            for descriptor in Path("/proc/self/fd").iterdir():
                if os.path.realpath(descriptor).startswith(str(path.resolve())):
                    raise PermissionError(errno.EACCES, "used by another process", str(path))
            return method(path, *arguments, **options)

        return act

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    for name in ("unlink", "rename"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))


def test_a_claim_ends_where_open_files_cannot_be_removed(open_files_are_held, tmp_path):
    assert claim(tmp_path / "run")
    release(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_claimed_directory_is_renamed_where_open_files_are_held(open_files_are_held, tmp_path):
    assert claim(tmp_path / "run")
    (tmp_path / "run" / "file").touch()
    rename_claimed(tmp_path / "run", tmp_path / "old")
    assert (tmp_path / "old" / "file").exists()
    assert is_held(tmp_path / "run")
    release(tmp_path / "run")
