"""The folder of an export: checks before it is written, and failed writes."""

import pytest

from vgg_lit.errors import InputError, TrainingError
from vgg_lit.exporting.folder import (
    CARD,
    DESCRIPTION,
    NEEDED_PACKAGES,
    PROGRAM_FILES,
    check_output,
    writing_into,
)


def test_every_format_has_a_file_and_its_packages():
    assert PROGRAM_FILES.keys() == NEEDED_PACKAGES.keys()
    assert len(set(PROGRAM_FILES.values())) == len(PROGRAM_FILES)


def test_a_new_folder_and_an_earlier_export_may_be_written(tmp_path):
    check_output(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    for name in (CARD, DESCRIPTION):
        (tmp_path / name).touch()
    check_output(tmp_path)


def test_a_readme_of_another_project_is_not_replaced(tmp_path):
    (tmp_path / CARD).touch()
    with pytest.raises(InputError, match=r"^output=.*: holds a README\.md of another project"):
        check_output(tmp_path)


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/export"):
        with pytest.raises(InputError, match="is not a writable folder"):
            check_output(tmp_path / place)


@pytest.mark.parametrize("name", ["model.onnx", CARD, "report.json"])
def test_a_folder_is_not_a_file(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: is a folder, but a file is written there"):
        check_output(tmp_path)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(28, "No space left on device"), TrainingError, "cannot be written: No space left"),
        (OSError("odd"), TrainingError, "cannot be written: odd; existing files are unchanged"),
        (ValueError("a bug"), ValueError, "a bug"),
        (KeyboardInterrupt("x"), KeyboardInterrupt, "x"),
    ],
)
@pytest.mark.parametrize("has_file", [False, True])
def test_a_failed_write_leaves_no_empty_folder(error, raised, message, has_file, tmp_path):
    folder = tmp_path / "export"

    def fail():
        with writing_into(folder):
            folder.mkdir()
            if has_file:
                (folder / "kept").touch()
            raise error

    with pytest.raises(raised, match=message):
        fail()
    assert folder.exists() == has_file


def test_a_success_leaves_the_folder(tmp_path):
    with writing_into(tmp_path / "export"):
        (tmp_path / "export").mkdir()
    assert (tmp_path / "export").is_dir()
