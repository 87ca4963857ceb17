"""Images per second, and the learning rate."""

import pytest
import torch
from lightning.pytorch.loggers import Logger

from vgg_lit.callbacks import LearningRate, Throughput, throughput


class Memory(Logger):
    """Keeps what is logged."""

    name, version = "memory", 0

    def __init__(self):
        super().__init__()
        self.lines = []

    def log_metrics(self, metrics, step=None):
        self.lines.append((step, metrics))

    def log_hyperparams(self, *args, **kwargs):
        pass


def test_images_per_second_and_data_wait(scripted, monkeypatch):
    clock = iter(range(100))  # each reading advances by one second
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    callback = Throughput()
    trainer = scripted([0.1], callback)
    # two batches of 3 images; the clock is read at the start, before and after each batch
    assert float(trainer.callback_metrics["throughput/images_per_second"]) == pytest.approx(1.5)
    assert float(trainer.callback_metrics["throughput/data_wait"]) == pytest.approx(0.5)


def test_the_ceiling_is_the_product_rate_over_operations_per_image(scripted, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(throughput, "matmul_rate", lambda dtype, device: 60.0)
    monkeypatch.setattr(throughput, "training_operations", lambda net, shape: 8.0)
    trainer = scripted([0.1], Throughput())
    # at most 60 / 8 images per second; measured: 1.5
    assert float(trainer.callback_metrics["throughput/ceiling_fraction"]) == pytest.approx(0.2)


def test_images_per_second_of_a_real_run_is_positive(tiny_run):
    assert tiny_run.metrics["throughput/images_per_second"] > 0


def test_the_learning_rate_is_logged(scripted):
    memory = Memory()
    trainer = scripted([0.1, 0.1], LearningRate(), logger=memory, log_every_n_steps=2)
    assert float(trainer.callback_metrics["lr"]) == 1.0
    assert [(s, m) for s, m in memory.lines if "lr" in m] == [(0, {"lr": 1.0}), (2, {"lr": 1.0})]


def test_an_epoch_without_batches_logs_nothing():
    callback = Throughput()
    callback.on_train_epoch_end(None, None)
    assert callback._images == 0


def test_rates_are_plain_floats(scripted):
    trainer = scripted([0.1])
    trainer.optimizers[0].param_groups[0]["lr"] = torch.tensor(0.25)
    assert throughput._rates(trainer) == {"lr": 0.25}
    assert type(throughput._rates(trainer)["lr"]) is float
