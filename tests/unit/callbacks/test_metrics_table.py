"""`metrics.csv` has one row per epoch, also after a resume."""

import csv

from vgg_lit.callbacks import Checkpointing, MetricsTable


def rows(folder):
    with (folder / "metrics.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_each_epoch_has_one_row(scripted, tmp_path):
    scripted([0.25, 0.5], MetricsTable())
    assert [list(row.items())[:2] for row in rows(tmp_path)] == [
        [("epoch", "1"), ("step", "2")],
        [("epoch", "2"), ("step", "4")],
    ]
    assert [row["val/acc"] for row in rows(tmp_path)] == ["0.25", "0.5"]
    assert {row["train/acc"] for row in rows(tmp_path)} == {"0.5"}


def test_an_epoch_without_validation_has_no_validation_metrics(scripted, tmp_path):
    scripted([0.1, 0.2, 0.3], MetricsTable(), check_val_every_n_epoch=2)
    assert [row["val/acc"] for row in rows(tmp_path)] == ["", "0.2", ""]


def test_an_epoch_that_max_steps_ends_has_no_validation_metrics(scripted, tmp_path):
    scripted([0.1, 0.2, 0.3], MetricsTable(), max_steps=5)
    assert [(row["step"], row["val/acc"]) for row in rows(tmp_path)] == [
        ("2", "0.1"),
        ("4", "0.2"),
        ("5", ""),
    ]


def test_a_resumed_epoch_has_the_metrics_of_its_validation_alone(scripted, tmp_path):
    scores = [0.1, 0.2, 0.3, 0.4, 0.5]
    scripted(scores, MetricsTable(), Checkpointing(), max_epochs=2, check_val_every_n_epoch=2)
    last = tmp_path / "checkpoints" / "last.ckpt"
    scripted(scores, MetricsTable(), resume=last, check_val_every_n_epoch=2)
    assert [row["val/acc"] for row in rows(tmp_path)] == ["", "0.2", "", "0.4", ""]


def test_repeated_epochs_replace_their_rows(scripted, tmp_path):
    """The checkpoint is from epoch 2; the table of the crashed run has a row for epoch 3."""
    scripted([0.1, 0.2, 0.3, 0.4], MetricsTable(), Checkpointing(), max_epochs=2)
    crashed = (tmp_path / "metrics.csv").read_text()
    (tmp_path / "metrics.csv").write_text(
        crashed + crashed.splitlines()[-1].replace("2", "3", 1) + "\n"
    )
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3"]
    last = tmp_path / "checkpoints" / "last.ckpt"
    scripted([0.1, 0.2, 0.3, 0.4], MetricsTable(), resume=last)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]
    assert [row["val/acc"] for row in rows(tmp_path)] == ["0.1", "0.2", "0.3", "0.4"]


def test_a_new_metric_widens_the_table(scripted, tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,old\n0,0,1\n")
    scripted([0.1], MetricsTable())
    found = rows(tmp_path)
    assert (found[0]["old"], found[0]["val/acc"]) == ("1", "")
    assert (found[1]["old"], found[1]["val/acc"]) == ("", "0.1")


def test_a_fast_dev_run_leaves_no_table(scripted, tmp_path):
    scripted([0.1], MetricsTable(), fast_dev_run=True)
    assert not (tmp_path / "metrics.csv").exists()
