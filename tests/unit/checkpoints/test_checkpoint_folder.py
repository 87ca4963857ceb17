"""The checkpoints in the folder of a run."""

from pathlib import Path

import pytest

from vgg_lit.checkpoints.folder import (
    checkpoint_text,
    epoch_without_checkpoint,
    find_checkpoint,
    newest_checkpoint,
    predictions_file,
    remove_predictions,
)
from vgg_lit.checkpoints.storage import SCHEMA, write_checkpoint
from vgg_lit.errors import InputError
from vgg_lit.runs import Run


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", {"seed": 3}, [])


def test_checkpoints_are_found_by_name_or_file(tiny_run, tmp_path):
    assert tiny_run.checkpoint("best").name == "best.ckpt"
    assert tiny_run.checkpoint("last").name == "last.ckpt"
    file = tmp_path / "other.ckpt"
    file.write_bytes(b"x")
    assert tiny_run.checkpoint(str(file)) == file


def test_an_unknown_checkpoint_is_refused_with_the_available_ones(tiny_run):
    with pytest.raises(
        InputError, match=r"checkpoint=first: not in .*; available: best, last, previous$"
    ):
        tiny_run.checkpoint("first")


def test_a_run_without_checkpoints_is_refused(run):
    with pytest.raises(InputError, match="the run has not written any"):
        run.checkpoint()


def test_without_validation_the_best_checkpoint_is_the_last(run):
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").write_bytes(b"x")
    assert run.checkpoint("best").name == "last.ckpt"


@pytest.mark.parametrize("name", ["first", "best.ckpt", "", "."])
def test_weights_alone_are_checkpoints_and_listed(name, tmp_path):
    (tmp_path / "last.safetensors").touch()
    assert find_checkpoint(tmp_path, "best") == tmp_path / "last.safetensors"
    with pytest.raises(InputError, match=f"^checkpoint={name}: not in .*; available: last$"):
        find_checkpoint(tmp_path, name)


def test_a_checkpoint_comes_before_weights_of_its_name(tmp_path):
    for name in ("best.safetensors", "last.ckpt", "last.safetensors"):
        (tmp_path / name).touch()
    assert find_checkpoint(tmp_path, "last").name == "last.ckpt"
    assert find_checkpoint(tmp_path, "best").name == "best.safetensors"
    (tmp_path / "best.ckpt").mkdir()  # a folder is not a checkpoint
    assert find_checkpoint(tmp_path, "best").name == "best.safetensors"


def write(file, number):
    write_checkpoint({"vgg_lit": {"schema": SCHEMA}, "global_step": number}, file)


def test_the_newest_intact_checkpoint_is_found_with_the_damage_of_newer_ones(tmp_path):
    assert newest_checkpoint(tmp_path) == (None, {})
    write(tmp_path / "best.ckpt", 1)
    assert newest_checkpoint(tmp_path) == (tmp_path / "best.ckpt", {})
    write(tmp_path / "previous.ckpt", 2)
    (tmp_path / "last.ckpt").write_bytes(b"x")
    found, damages = newest_checkpoint(tmp_path)
    assert found == tmp_path / "previous.ckpt"
    assert list(damages) == [tmp_path / "last.ckpt"]
    assert "damaged" in damages[tmp_path / "last.ckpt"]
    for name in ("previous.ckpt", "best.ckpt"):
        (tmp_path / name).write_bytes(b"x")
    found, damages = newest_checkpoint(tmp_path)
    assert found is None
    assert [file.stem for file in damages] == ["last", "previous", "best"]


def test_predictions_that_another_program_has_opened_stay_with_a_warning(
    tmp_path, monkeypatch, capsys
):
    for split in ("test", "val"):
        predictions_file(tmp_path, split).touch()
    unlink = Path.unlink

    def refuse(path, missing_ok=False):
        if "val" in path.name:
            raise PermissionError(13, "in use", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_predictions(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions_val.csv"]
    assert "predictions_val.csv: cannot be removed; its predict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metrics", "rows", "epoch"),
    [
        ('{"val/loss": 0.25, "test/acc": 0.5}', "1,0.25\n2,0.5\n", 1),
        ('{"val/loss": 0.25}', "1,0.25\n2,0.25\n", None),
        ('{"val/loss": 0.25}', "1,0.25\n2,\n", 1),
        ('{"val/loss": 0.123456789}', "1,0.1234568\n2,0.5\n", 1),
        ('{"test/acc": 0.5}', "1,\n2,\n", None),
        ("{}", "1,0.25\n2,0.5\n", None),
        ("damaged", "1,0.25\n2,0.5\n", None),
    ],
)
def test_the_epoch_of_metrics_without_their_checkpoint_is_found(metrics, rows, epoch, tmp_path):
    (tmp_path / "metrics.json").write_text(metrics)
    (tmp_path / "metrics.csv").write_text(f"epoch,val/loss\n{rows}")
    last = tmp_path / "checkpoints" / "last.ckpt"
    remark = f" (no best.ckpt; the recorded metrics are of epoch {epoch})" if epoch else ""
    assert epoch_without_checkpoint(tmp_path) == epoch
    assert checkpoint_text(tmp_path, last) == f"{last}{remark}"
    assert checkpoint_text(tmp_path, tmp_path / "other.ckpt") == str(tmp_path / "other.ckpt")
    write(tmp_path / "checkpoints" / "best.ckpt", 1)
    assert epoch_without_checkpoint(tmp_path) is None
