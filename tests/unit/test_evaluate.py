"""Evaluation reads the run and nothing else, and refuses data that do not fit it."""

import json

import pytest

from vgg_lit.runs import Run


def error_of(done):
    assert done.code == 2
    assert done.err.count("\n") == 1
    return done.err


def test_it_finds_the_metrics_that_training_found(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = verb("evaluate", f"run={tiny_run.path}", "accelerator=cpu")
    assert done.code == 0
    record = tiny_run.path / "evaluations" / "fashion_mnist_sample_test.json"
    found = json.loads(record.read_text())["metrics"]
    assert found == {k: v for k, v in tiny_run.metrics.items() if k.startswith("test/")}


def test_another_split_and_checkpoint_have_other_metrics(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (f"run={tiny_run.path}", "split=val", "checkpoint=last", "accelerator=cpu")
    assert verb("evaluate", *arguments).code == 0
    record = tiny_run.path / "evaluations" / "fashion_mnist_sample_val.json"
    content = json.loads(record.read_text())
    assert content["checkpoint"].endswith("last.ckpt")
    assert set(content["metrics"]) == {"val/loss", "val/acc", "val/top5"}


def test_other_classes_are_refused_by_name(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
    arguments = (f"run={tiny_run.path}", "data=image_folder", f"data.root={tmp_path / 'pets'}")
    error = error_of(verb("evaluate", *arguments))
    assert "its 2 classes are not the run's 10" in error
    assert "only in the data: cat, dog" in error


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("split=train", ["split=train", "'test' or 'val'"]),
        ("checkpoint=newest", ["checkpoint=newest", "best, last"]),
        ("batch_size=0", ["batch_size=0"]),
        ("accelerator=abacus", ["accelerator=abacus"]),
    ],
)
def test_a_wrong_setting_is_one_line(argument, parts, verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = error_of(verb("evaluate", f"run={tiny_run.path}", argument))
    assert all(part in error for part in parts), error


def test_no_validation_split_is_none_to_evaluate(verb, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(tmp_path / "run", "data.val_fraction=0.0")
    assert isinstance(run, Run)
    assert "leaves no validation split" in error_of(
        verb("evaluate", f"run={run.path}", "split=val")
    )
