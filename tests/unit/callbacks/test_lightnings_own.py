"""Lightning's callbacks, as configured in conf/callbacks."""

import csv

import torch


def test_early_stopping_ends_the_run(train, tmp_path):
    run = train(
        tmp_path / "run",
        "callbacks=[default,early_stopping]",
        "callbacks.early_stopping.patience=1",
        "callbacks.early_stopping.min_delta=1",  # above any possible gain in accuracy
        "trainer.max_epochs=6",
    )
    with run.metrics_file.open() as lines:
        assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2"]
    assert torch.load(run.checkpoint("last"), weights_only=True)["epoch"] == 1
    assert run.status["status"] == "done"


def test_a_callback_set_to_null_is_left_out(train, tmp_path):
    run = train(tmp_path / "run", "callbacks.metrics_table=null", "logger=none")
    assert not run.metrics_file.exists()
    assert run.checkpoint("last").is_file()


def test_without_callbacks_nothing_is_saved_and_the_last_weights_are_tested(train, tmp_path):
    run = train(tmp_path / "run", "callbacks=none", "logger=none")
    assert not list(run.path.rglob("*.ckpt"))
    assert "test/acc" in run.metrics
