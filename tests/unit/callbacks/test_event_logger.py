"""The names of the charts in TensorBoard."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vgg_lit.callbacks.event_logger import EventLogger, chart_name


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("train/acc", "train/acc"),
        ("lr", "train/lr"),
        ("lr/matrices", "train/lr/matrices"),
        ("throughput/data_wait", "train/throughput/data_wait"),
        ("final/val/acc", "val/final/acc"),
        ("final/test/acc", "test/acc"),
        ("final/seconds", "train/final/seconds"),
    ],
)
def test_the_split_comes_first(metric, name):
    assert chart_name(metric) == name
    assert chart_name(name) == name


def test_accuracy_and_loss_are_the_first_charts_of_a_split(tmp_path):
    logger = EventLogger(tmp_path, name="", version="")
    for step in (1, 2):
        metrics = {"lr": 0.1, "epoch": step, "throughput/data_wait": 0.0, "train/loss": 1.0}
        logger.log_metrics(metrics | {"train/acc": 0.5, "test/top1": 0.5}, step)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path)).Reload()
    charts = sorted(events.Tags()["scalars"])
    assert charts == ["train/acc", "train/loss", "train/lr", "train/throughput/data_wait"]
    assert [event.step for event in events.Scalars("train/lr")] == [1, 2]
