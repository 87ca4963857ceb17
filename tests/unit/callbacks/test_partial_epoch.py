"""Metric states continue after a resume, with any number of processes."""

import lightning.pytorch as L
import pytest
import torch
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from vgg_lit.callbacks import partial_epoch
from vgg_lit.callbacks.partial_epoch import read_metrics, restore_metrics


class Counting(L.LightningModule):
    """Two metrics in use and one that is not."""

    def __init__(self):
        super().__init__()
        self.loss = MeanMetric()
        self.acc = MulticlassAccuracy(4, average="micro")
        self.unused = MeanMetric()

    def count(self, *values):
        for value in values:
            self.loss.update(value)
            self.acc.update(torch.eye(4)[[value % 4]], torch.tensor([1]))
        return self

    def found(self):
        return self.loss.compute(), self.acc.compute()


def test_a_resumed_epoch_has_exactly_the_same_metrics():
    whole = Counting().count(1, 3, 5, 7)
    first = Counting().count(1, 3)
    second = Counting()
    restore_metrics(second, read_metrics(first), rank=0, world_size=1)
    assert second.count(5, 7).found() == whole.found()
    assert second.loss.update_count == whole.loss.update_count


def test_unused_metrics_are_not_saved():
    (counts,) = read_metrics(Counting().count(1))
    assert set(counts) == {"loss", "acc"}
    assert counts["loss"]["updates"] == 1


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_another_number_of_processes_gives_the_same_metrics(world_size):
    """The states of two processes are restored by one, two and three processes."""
    counted = [read_metrics(Counting().count(*values))[0] for values in ((1, 3), (5, 8))]
    modules = [Counting() for _ in range(world_size)]
    for rank, module in enumerate(modules):
        restore_metrics(module, counted, rank, world_size)
    total = sum(module.loss.mean_value for module in modules)
    weight = sum(module.loss.weight for module in modules)
    assert total / weight == 17 / 4
    assert sum(int(module.acc.tp) for module in modules) == 2


def test_read_metrics_gathers_all_processes(monkeypatch):
    monkeypatch.setattr(partial_epoch, "gather", lambda content: [content, {"loss": "other"}])
    counts = read_metrics(Counting().count(1))
    assert len(counts) == 2
    assert counts[1] == {"loss": "other"}
