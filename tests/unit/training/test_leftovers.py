"""A new run does not take files of an attempt that died before `config.yaml` for its own."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.training.leftovers import set_leftovers_aside

WRITTEN = ("data.json", "loggers.json", "metrics.csv", "metrics.json", "checkpoints/last.ckpt")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in (*WRITTEN, "checkpoints/last.ckpt.sha256", "found.json", "notes.txt"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_files_of_a_run_are_renamed_and_others_stay(folder):
    set_leftovers_aside(folder)
    left = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert left == {*(f"{name}.replaced" for name in WRITTEN), "found.json", "notes.txt"}


def test_the_files_of_a_run_are_kept(folder):
    (folder / "config.yaml").write_text("seed: 0")
    with pytest.raises(InputError, match="already holds a run"):
        set_leftovers_aside(folder)
    assert (folder / "data.json").is_file()


def test_a_training_starts_without_them(folder, train, tiny):
    run = train(folder, "logger=none")
    assert run.data_file.read_text() != "{}"
    assert not (folder / "loggers.json").exists()
