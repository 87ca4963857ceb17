"""Changed settings of a resumed training reach restored optimisers, schedules and callbacks."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import nn

from vgg_lit.callbacks import Checkpointing
from vgg_lit.optim import Steps, build_optimizer, build_scheduler
from vgg_lit.training.changed_settings import ChangedSettings

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
PLATEAU = {"_target_": "vgg_lit.optim.plateau", "patience": 2, "factor": 0.5}
CONSTANT = {"_target_": "vgg_lit.optim.constant"}
STEPS = Steps(total=100, per_epoch=10)
STOPPING = {
    "_target_": "lightning.pytorch.callbacks.EarlyStopping",
    "monitor": "val/acc",
    "mode": "max",
}


def config(optimizer=SGD, scheduler=CONSTANT, **callbacks):
    return {"optimizer": optimizer, "scheduler": scheduler, "callbacks": callbacks}


class Resumed:
    """A resumed training whose optimiser and schedule are restored from the config before."""

    def __init__(self, before, callbacks=(), progress=lambda optimizer, schedule: None):
        self.before = before
        self.module = SimpleNamespace(net=nn.Linear(2, 2))
        self.optimizer = build_optimizer(before["optimizer"], self.module.net)
        self.schedule = build_scheduler(before["scheduler"], self.optimizer, STEPS)
        progress(self.optimizer, self.schedule and self.schedule["scheduler"])
        self.trainer = SimpleNamespace(
            optimizers=[self.optimizer],
            callbacks=list(callbacks),
            lr_scheduler_configs=[SimpleNamespace(**self.schedule)] if self.schedule else [],
            is_global_zero=True,
            global_step=30,
            max_epochs=20,
            ckpt_path="logs/run/checkpoints/last.ckpt",
        )

    def change(self, after, steps=STEPS):
        ChangedSettings(after, steps, self.before).on_train_start(self.trainer, self.module)
        return self.optimizer.param_groups


def test_options_of_the_optimiser_change_and_its_state_stays():
    resumed = Resumed(config())
    weight = resumed.module.net.weight
    resumed.optimizer.state[weight]["momentum_buffer"] = torch.ones(2, 2)
    (group,) = resumed.change(config({**SGD, "momentum": 0.5, "weight_decay": 0.0}))
    assert (group["momentum"], group["weight_decay"], group["lr"]) == (0.5, 0.0, 0.1)
    assert resumed.optimizer.state[weight]["momentum_buffer"].sum() == 4


def test_equal_configs_change_nothing():
    resumed = Resumed(config())
    resumed.optimizer.param_groups[0]["momentum"] = 0.3
    assert resumed.change(config())[0]["momentum"] == 0.3


def test_a_new_peak_scales_the_rate_that_the_schedule_has_reached():
    def lowered(optimizer, schedule):
        optimizer.param_groups[0]["lr"] = 0.025

    resumed = Resumed(config(scheduler=PLATEAU), progress=lowered)
    (group,) = resumed.change(config({**SGD, "lr": 0.2}, PLATEAU))
    assert group["lr"] == pytest.approx(0.05)
    assert resumed.schedule["scheduler"]._last_lr == [group["lr"]]


def test_settings_of_the_schedule_change_and_its_progress_stays():
    def waited(optimizer, schedule):
        schedule.num_bad_epochs, schedule.best = 2, 0.8

    resumed = Resumed(config(scheduler=PLATEAU), progress=waited)
    resumed.change(config(scheduler={**PLATEAU, "patience": 7, "factor": 0.1}))
    schedule = resumed.schedule["scheduler"]
    assert (schedule.patience, schedule.factor) == (7, 0.1)
    assert (schedule.num_bad_epochs, schedule.best) == (2, 0.8)
    assert schedule.optimizer is resumed.optimizer


def test_the_settings_before_are_those_of_the_checkpoint():
    """Not those of config.yaml, which a resume rewrites before its other ranks start."""
    before = config(SGD, PLATEAU, stop=STOPPING | {"patience": 3})
    after = config({**SGD, "momentum": 0.5}, {**PLATEAU, "patience": 7}, stop=STOPPING)
    checkpoint = {"hyper_parameters": before}
    ChangedSettings(before, STEPS).on_save_checkpoint(None, None, checkpoint)
    resumed = ChangedSettings(after, STEPS, before=after)
    resumed.on_load_checkpoint(None, None, checkpoint)
    assert resumed.before == before
    older = ChangedSettings(after, STEPS, before=before)
    older.on_load_checkpoint(None, None, {})
    assert older.before == before


def test_settings_of_callbacks_change_and_their_progress_stays():
    stopping = EarlyStopping("val/acc", mode="max", patience=3)
    stopping.wait_count, stopping.best_score = 2, torch.tensor(0.8)
    resumed = Resumed(config(stop=STOPPING | {"patience": 3}), [stopping])
    resumed.change(config(stop=STOPPING | {"patience": 9}))
    assert (stopping.patience, stopping.wait_count) == (9, 2)
    assert stopping.best_score == torch.tensor(0.8)
    resumed.change(config(stop=STOPPING | {"monitor": "val/loss", "mode": "min"}))
    assert (stopping.monitor, stopping.mode, stopping.wait_count) == ("val/loss", "min", 0)
    assert stopping.best_score == torch.tensor(float("inf"))


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_callback_changes_alone_among_those_of_its_class(name):
    specs = {
        "first": STOPPING | {"patience": 7},
        "none": None,
        "second": STOPPING | {"monitor": "val/loss", "mode": "min", "patience": 8},
    }
    stoppings = {"first": EarlyStopping("val/acc", mode="max", patience=7)}
    stoppings["second"] = EarlyStopping("val/loss", patience=8)
    resumed = Resumed(config(**specs), [Checkpointing(), *stoppings.values()])
    resumed.change(config(**specs | {name: specs[name] | {"patience": 3}}))
    assert stoppings.pop(name).patience == 3
    (other,) = stoppings.values()
    assert other.patience in (7, 8)


def test_another_monitor_of_checkpoints_starts_its_best_score_anew(tmp_path):
    spec = {"_target_": "vgg_lit.callbacks.Checkpointing", "monitor": "val/acc", "mode": "max"}
    saving = Checkpointing(monitor="val/acc", mode="max")
    saving.best_score, saving.best_metrics = 0.9, {"val/acc": 0.9}
    resumed = Resumed(config(save=spec), [saving])
    resumed.change(config(save={**spec, "monitor": "val/loss", "mode": "min"}))
    assert saving.monitor == "val/loss"
    assert (saving.best_score, saving.best_metrics) == (None, {})


def test_callbacks_that_come_or_go_are_left_to_the_trainer():
    resumed = Resumed(config(stop=STOPPING))
    resumed.change(config(stop=None, other=STOPPING))
    assert resumed.trainer.callbacks == []


LINEAR = {"_target_": "vgg_lit.optim.linear"}


@pytest.mark.parametrize(("total", "rises"), [(100, False), (400, True)])
def test_a_longer_schedule_that_rises_again_is_reported(total, rises, capsys):
    def at_step_30(optimizer, schedule):
        for _ in range(30):
            optimizer.step()
            schedule.step()

    resumed = Resumed(config(scheduler=LINEAR), progress=at_step_30)
    longer = build_scheduler(LINEAR, build_optimizer(SGD, nn.Linear(2, 2)), Steps(total, 10))
    resumed.schedule["scheduler"].lr_lambdas = longer["scheduler"].lr_lambdas
    resumed.change(config(scheduler=LINEAR), Steps(total, 10))
    err = capsys.readouterr().err
    assert ("rises again at step 31, from 0.07 to 0.0925" in err) == rises
    assert bool(err) == rises
    resumed.trainer.is_global_zero = False
    resumed.change(config(scheduler=LINEAR), Steps(total, 10))
    assert capsys.readouterr().err == ""
