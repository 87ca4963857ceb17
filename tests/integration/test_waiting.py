"""No operation of a training step makes the host wait for the device.

The CPU can test this: a waiting operation is one whose result, or its size, the host must read.
"""

import lightning.pytorch as L
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vgg_lit.config.group_options import config_folder
from vgg_lit.training import experiment

WAITING = {
    "aten::_local_scalar_dense",  # .item(), float(), bool()
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave.Tensor",
    "aten::unique2",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::bincount",
}


class Waits(TorchDispatchMode):
    """Records the operations that would wait on a GPU."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name
        overload = f"{name}.{function._schema.overload_name}"
        is_mask = name in ("aten::index", "aten::index_put", "aten::index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in WAITING or overload in WAITING or is_mask:
            self.found.add(overload)
        return function(*args, **(kwargs or {}))


class Watch(L.Callback):
    """Records the waiting operations from the first step of an epoch to the last."""

    def __init__(self):
        self.waits = Waits()
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.waits.__enter__()
        self.steps += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.is_last_batch:
            self.waits.__exit__(None, None, None)


@pytest.fixture
def waits(monkeypatch, train, tmp_path):
    """`waits("augment=none")`: the waiting operations in the steps of a run."""

    def waits(*overrides):
        watch = Watch()
        build = experiment.build_trainer

        def build_and_watch(*args, **kwargs):
            trainer = build(*args, **kwargs)
            trainer.callbacks.append(watch)
            return trainer

        monkeypatch.setattr(experiment, "build_trainer", build_and_watch)
        train(tmp_path / "run", "trainer.log_every_n_steps=1", *overrides)
        assert watch.steps == 4
        return watch.waits.found

    return waits


def options(group):
    return sorted(file.stem for file in (config_folder() / group).glob("*.yaml"))


@pytest.mark.parametrize("augment", options("augment"))
def test_augmentation_and_default_callbacks_do_not_synchronise(augment, waits):
    assert waits(f"augment={augment}") == set()


@pytest.mark.parametrize("optimizer", options("optimizer"))
def test_optimisers_do_not_synchronise(optimizer, waits):
    found = waits(f"optimizer={optimizer}", "trainer.accumulate_grad_batches=2")
    if optimizer == "nadam":  # reads two scalars that it keeps in main memory on every device
        found -= {"aten::_local_scalar_dense."}
    assert found == set()


@pytest.mark.parametrize("callbacks", ["ema", "early_stopping", "layer_times", "tensorboard"])
def test_optional_callbacks_do_not_synchronise(callbacks, waits):
    assert waits(f"callbacks=[default,{callbacks}]") == set()


def test_a_synchronisation_is_detected():
    with Waits() as waits:
        x = torch.ones(3)
        float(x.sum())
        x[x > 0]
        x[torch.tensor([0, 1])]
    assert waits.found == {"aten::_local_scalar_dense.", "aten::index.Tensor"}
