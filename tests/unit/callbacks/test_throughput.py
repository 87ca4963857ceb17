"""Images per second, and the learning rate."""

from types import SimpleNamespace

import lightning.pytorch as L
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


class SimulatedClock(L.Callback):
    """A clock that only training moves: 2 s for each batch, 6 s for each step, 1000 s to validate.

    Args:
        seconds_before: time between the end of a step and the request for the next batch. The loader
            reports that request (`asked_at`) if this is not 0.
    """

    def __init__(self, monkeypatch, seconds_before=0.0):
        self.now = 50.0
        self.seconds_before = seconds_before
        monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def on_train_batch_start(self, trainer, *args):
        self.now += self.seconds_before
        if self.seconds_before:
            trainer.train_dataloader.asked_at = self.now
        self.now += 2

    def on_train_batch_end(self, *args):
        self.now += 6

    def on_validation_start(self, *args):
        self.now += 1000


def logged(trainer, name):
    return float(trainer.callback_metrics[f"throughput/{name}"])


@pytest.mark.parametrize("epochs", [1, 2])
def test_images_per_second_and_data_wait_of_an_epoch(epochs, scripted, monkeypatch):
    trainer = scripted([0.1] * epochs, SimulatedClock(monkeypatch), Throughput())
    # two batches of 3 images in 16 s, 4 s of them for the batches
    assert logged(trainer, "images_per_second") == pytest.approx(6 / 16)
    assert logged(trainer, "data_wait") == pytest.approx(4 / 16)


def test_data_wait_starts_when_the_loader_is_asked(scripted, monkeypatch):
    trainer = scripted([0.1], SimulatedClock(monkeypatch, seconds_before=2), Throughput())
    assert logged(trainer, "images_per_second") == pytest.approx(6 / 20)
    assert logged(trainer, "data_wait") == pytest.approx(4 / 20)


def test_ceiling_fraction_is_the_share_of_the_matmul_rate(scripted, monkeypatch):
    monkeypatch.setattr(throughput, "matmul_rate", lambda dtype, device: 60.0)
    monkeypatch.setattr(throughput, "training_operations", lambda net, shape: 8.0)
    trainer = scripted([0.1], SimulatedClock(monkeypatch), Throughput())
    # at most 60 / 8 images a second
    assert logged(trainer, "ceiling_fraction") == pytest.approx((6 / 16) / (60 / 8))


def test_images_per_second_of_a_real_run_is_positive(tiny_run):
    assert tiny_run.metrics["throughput/images_per_second"] > 0


def test_the_learning_rate_is_logged(scripted):
    memory = Memory()
    trainer = scripted([0.1, 0.1], LearningRate(), logger=memory, log_every_n_steps=2)
    assert float(trainer.callback_metrics["lr"]) == 1.0
    assert [(s, m) for s, m in memory.lines if "lr" in m] == [(0, {"lr": 1.0}), (2, {"lr": 1.0})]


def test_an_epoch_without_batches_logs_nothing():
    names = []
    module = SimpleNamespace(log=lambda name, *args, **kwargs: names.append(name))
    Throughput().on_train_epoch_end(SimpleNamespace(world_size=1), module)  # must not raise
    assert names == []


def test_rates_are_plain_floats(scripted):
    trainer = scripted([0.1])
    trainer.optimizers[0].param_groups[0]["lr"] = torch.tensor(0.25)
    assert throughput._rates(trainer) == {"lr": 0.25}
    assert type(throughput._rates(trainer)["lr"]) is float


def test_the_peak_of_a_gpus_memory_is_logged(monkeypatch):
    logged = {}
    module = SimpleNamespace(
        device=torch.device("cuda", 0),
        log=lambda name, value, **options: logged.update({name: (value, options.get("reduce_fx"))}),
    )
    resets = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", resets.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**29)
    callback = Throughput()
    callback.on_train_start(None, module)
    callback._images, callback._seconds, callback._ceiling = 10, 2.0, float("inf")
    callback.on_train_epoch_end(SimpleNamespace(world_size=1), module)
    assert resets == [module.device]
    assert logged["throughput/peak_memory_gib"] == (1.5, "max")
    module.device, logged = torch.device("cpu"), {}
    callback.on_train_epoch_end(SimpleNamespace(world_size=1), module)
    assert "throughput/peak_memory_gib" not in logged
