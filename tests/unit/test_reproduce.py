"""`vgg-reproduce` trains a run again and compares the results."""

import json
import shutil

import pytest

from vgg_lit.runs import Run


@pytest.fixture
def original(tiny_run, tmp_path, monkeypatch):
    """A copy of a finished run in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run.path, "original")
    return Run("original")


def test_a_run_is_reproduced_bit_identically(command, original, tmp_path):
    done = command("reproduce", "run=original", "output=again", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "weights and metrics are bit-identical to those of original" in done.out
    record = json.loads(Run("again").path.joinpath("reproduction.json").read_text())
    assert record["is_exact"]
    assert record["weights"]["last"]["differing"] == 0
    config = Run("again").config
    assert config.pop("data_root") == str(tmp_path / "data")
    assert config == {key: value for key, value in original.config.items() if key != "data_root"}


def test_a_folder_with_the_name_of_the_result_is_refused_before_the_training(
    verb, original, tmp_path
):
    (tmp_path / "again" / "reproduction.json").mkdir(parents=True)
    done = verb("reproduce", "run=original", "output=again")
    assert done.code == 2
    assert "again/reproduction.json: is a folder, but a file is written there" in done.err


@pytest.mark.slow  # trains in a new process
def test_a_different_result_is_one_line_with_the_differences(verb, original):
    file = original.path / "config.yaml"
    file.write_text(file.read_text().replace("lr: 0.1", "lr: 0.05"))
    done = verb("reproduce", "run=original", "output=again")
    assert done.code == 1
    (line,) = done.err.splitlines()[-1:]
    assert line.startswith("error: again differs from original: ")
    assert " changed by " in line
    assert "differing settings and versions: optimizer.lr" in line
    assert not json.loads(Run("again").path.joinpath("reproduction.json").read_text())["is_exact"]


def test_trusted_targets_of_the_run_are_not_trusted(command, original, tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    file = original.path / "config.yaml"
    text = file.read_text().replace("trusted_targets: []", "trusted_targets: [evil]")
    file.write_text(text.replace("_target_: vgg_lit.models.build", "_target_: evil.net"))
    done = command("reproduce", "run=original", "output=again", cwd=tmp_path)
    assert done.code == 2
    assert "_target_=evil.net" in done.err
    assert not (tmp_path / "again/config.yaml").exists()


def test_a_data_set_of_ones_own_is_trusted_by_the_command_line(command, tmp_path):
    command("new", "mine", cwd=tmp_path)
    folder = tmp_path / "mine"
    line = ("--config-dir", "conf", "experiment=first", "trainer.max_epochs=1")
    assert command("train", *line, "hydra.run.dir=run", cwd=folder).code == 0
    done = command("reproduce", "run=run", "output=again", "trusted_targets=[mine]", cwd=folder)
    assert done.code == 0, done.err
    assert "bit-identical" in done.out


@pytest.mark.parametrize("status", ["running", "failed"])
def test_an_unfinished_run_is_refused(status, verb, original):
    original.set_status(status)
    done = verb("reproduce", "run=original", "output=again")
    assert done.code == 2
    assert done.err == f"error: run=original: is not finished (status: {status})\n"


@pytest.mark.slow  # trains in a new process
def test_intended_changes_are_named(verb, original):
    done = verb("reproduce", "run=original", "output=again", "changes={optimizer.lr:0.05}")
    assert done.code == 1
    assert "differing settings and versions: optimizer.lr" in done.err.splitlines()[-1]
    record = json.loads(Run("again").path.joinpath("reproduction.json").read_text())
    assert record["settings"] == {"optimizer.lr": [0.1, 0.05]}


@pytest.mark.parametrize("changes", ["{-m:1}", "{optimizer.rate:1}", "[seed]", "3"])
def test_unknown_changes_are_refused(changes, command, original, tmp_path):
    done = command("reproduce", "run=original", "output=again", f"changes={changes}", cwd=tmp_path)
    assert done.code == 2
    assert "error: " in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "again").exists()


def test_an_existing_run_is_not_overwritten(verb, original):
    done = verb("reproduce", "run=original", "output=original")
    assert done.code == 2
    assert done.err == "error: output=original: already holds a run; choose another directory\n"


def test_a_damaged_checkpoint_is_refused_before_the_training(verb, original, monkeypatch):
    monkeypatch.setattr("vgg_lit.reproduce.train_again", lambda *_: pytest.fail("trained"))
    (original.checkpoints / "last.ckpt").write_bytes(b"x")
    done = verb("reproduce", "run=original", "output=again")
    assert done.code == 2
    assert "last.ckpt: is damaged" in done.err


def test_a_run_without_checkpoints_is_compared_by_its_metrics(verb, original, monkeypatch):
    shutil.rmtree(original.checkpoints)
    monkeypatch.setattr(
        "vgg_lit.reproduce.train_again",
        lambda run, folder, output, settings: shutil.copytree(run.path, output, dirs_exist_ok=True),
    )
    done = verb("reproduce", "run=original", "output=again")
    assert done.code == 0, done.err
    assert "metrics, without checkpoints, are bit-identical to those of original" in done.out
