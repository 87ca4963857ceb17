"""The Trainer that a config builds, its callbacks and its loggers."""

from datetime import timedelta
from types import SimpleNamespace

import lightning.pytorch as L
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from vgg_lit.callbacks import Checkpointing
from vgg_lit.config.checks import to_plain
from vgg_lit.errors import ConfigError, InputError
from vgg_lit.launching.ddp import CompressedDDPStrategy
from vgg_lit.training.trainer import (
    AtomicCheckpointIO,
    batches_per_epoch,
    build_callbacks,
    build_loggers,
    build_trainer,
    check_sizes,
    precision_of,
)


@pytest.fixture
def build(compose, tiny, tmp_path):
    def build(*overrides, has_validation=True, batches=100):
        plain = to_plain(compose(*tiny, *overrides))
        return build_trainer(plain, tmp_path, batches, has_validation)

    return build


@pytest.mark.parametrize(
    ("limits", "batches"),
    [
        ({"limit_train_batches": None, "overfit_batches": 0.0}, 10),
        ({"limit_train_batches": 3, "overfit_batches": 0.0}, 3),
        ({"limit_train_batches": 30}, 10),
        ({"limit_train_batches": 0.25}, 2),
        ({"limit_train_batches": 1.0}, 10),
        ({"limit_train_batches": 3, "overfit_batches": 0.5}, 5),
        ({"overfit_batches": 1}, 1),
    ],
)
def test_batches_of_an_epoch_are_counted_within_the_limits(limits, batches):
    data = SimpleNamespace(sizes={"train": 105}, batch_size=10)
    assert batches_per_epoch({"trainer": limits}, data) == batches


@pytest.mark.parametrize(("nodes", "largest"), [(1, 9), (2, 8)])
def test_a_batch_that_is_too_large_has_the_largest_size_for_all_processes(nodes, largest):
    spec = {"devices": 1, "accelerator": "cpu", "num_nodes": nodes}
    data = SimpleNamespace(sizes={"train": 9}, batch_size=16)
    message = rf"^data\.batch_size=16: larger than the 9 .*; set data\.batch_size={largest} or less"
    with pytest.raises(InputError, match=message):
        check_sizes({"trainer": spec}, data)


def test_every_trainer_writes_into_its_run_without_a_distributed_sampler(build, tmp_path):
    trainer = build()
    assert trainer.default_root_dir == str(tmp_path)
    assert isinstance(trainer.strategy.checkpoint_io, AtomicCheckpointIO)
    assert trainer.loggers[0].log_dir == str(tmp_path / "tensorboard")
    assert not trainer._accelerator_connector.use_distributed_sampler
    assert [c for c in trainer.callbacks if isinstance(c, L.callbacks.ProgressBar)] == []


def test_the_config_reaches_the_trainer(build):
    trainer = build(
        "trainer.max_epochs=7",
        "trainer.gradient_clip_val=0.5",
        "trainer.accumulate_grad_batches=3",
        "trainer.devices=2",
    )
    assert (trainer.max_epochs, trainer.gradient_clip_val) == (7, 0.5)
    assert (trainer.accumulate_grad_batches, trainer.world_size) == (3, 2)


def test_ddp_uses_bucket_views_and_a_timeout(build):
    strategy = build("trainer.devices=2", "trainer.process_timeout=3").strategy
    assert isinstance(strategy, L.strategies.DDPStrategy)
    options = strategy._ddp_kwargs
    assert options["static_graph"]
    assert options["gradient_as_bucket_view"]
    assert strategy._timeout == timedelta(minutes=3)
    accumulating = build("trainer.devices=2", "trainer.accumulate_grad_batches=2").strategy
    assert not accumulating._ddp_kwargs["static_graph"]
    compressed = build("trainer.devices=2", "trainer.gradient_compression=bf16").strategy
    assert isinstance(compressed, CompressedDDPStrategy)
    assert not isinstance(strategy, CompressedDDPStrategy)


def test_one_process_uses_no_ddp_strategy(build):
    assert not isinstance(build().strategy, L.strategies.DDPStrategy)


def test_short_epochs_are_logged_too(build):
    assert build(batches=4).log_every_n_steps == 4
    assert build(batches=1000).log_every_n_steps == 50


def test_without_a_validation_split_nothing_is_validated(build):
    assert build(has_validation=False).limit_val_batches == 0


def test_without_a_checkpointing_callback_lightning_adds_none(build):
    checkpoints = L.callbacks.Checkpoint
    assert not [c for c in build("callbacks=none").callbacks if isinstance(c, checkpoints)]
    (only,) = [c for c in build().callbacks if isinstance(c, checkpoints)]
    assert isinstance(only, Checkpointing)


def test_monitoring_validation_needs_a_validation_split():
    specs = {
        "stop": {"_target_": "lightning.pytorch.callbacks.EarlyStopping", "monitor": "val/acc"}
    }
    assert len(build_callbacks(specs, has_validation=True)) == 1
    with pytest.raises(
        ConfigError, match=r"callbacks\.stop\.monitor=val/acc: there is no validation"
    ):
        build_callbacks(specs, has_validation=False)
    ours = {"save": {"_target_": "vgg_lit.callbacks.Checkpointing", "monitor": "val/acc"}}
    assert len(build_callbacks(ours, has_validation=False)) == 1


@pytest.mark.parametrize("monitor", ["nope", "val/nope", "test/acc"])
def test_a_metric_that_no_training_logs_is_refused_before_it_starts(build, monitor):
    with pytest.raises(
        ConfigError, match=rf"checkpointing\.monitor={monitor}: is not a .* val/top5"
    ):
        build(f"callbacks.checkpointing.monitor={monitor}")


@pytest.mark.parametrize("monitor", ["train/loss", "val/top5", "lr", "val/f1_macro"])
def test_logged_metrics_can_be_monitored(build, monitor):
    build("metrics=f1", f"callbacks.checkpointing.monitor={monitor}")


def test_a_logger_writes_into_the_run_unless_configured_otherwise(tmp_path):
    target = "lightning.pytorch.loggers.CSVLogger"
    (told,) = build_loggers({"csv": {"_target_": target}, "none": None}, tmp_path)
    assert told.save_dir == str(tmp_path)
    elsewhere = {"csv": {"_target_": target, "save_dir": str(tmp_path / "x")}}
    assert build_loggers(elsewhere, tmp_path)[0].save_dir == str(tmp_path / "x")


def test_a_resumed_run_replaces_repeated_steps_in_tensorboard(tmp_path, monkeypatch):
    # Event files of one second are read in the order of their numbers as texts: 9 after 10.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))
    spec = {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "name": "", "version": "tb"}
    (first,) = build_loggers({"tb": spec}, tmp_path)
    for step in range(6):
        first.log_metrics({"x": 1.0}, step)
    first.finalize("failed")
    (resumed,) = build_loggers({"tb": spec}, tmp_path, first_step=4)
    for step in range(4, 8):
        resumed.log_metrics({"x": 2.0}, step)
    resumed.finalize("success")
    shown = EventAccumulator(str(tmp_path / "tb")).Reload().Scalars("x")
    assert [(event.step, event.value) for event in shown] == [
        *((step, 1.0) for step in range(4)),
        *((step, 2.0) for step in range(4, 8)),
    ]


def test_a_wrong_argument_names_its_key(tmp_path):
    spec = {"_target_": "lightning.pytorch.loggers.CSVLogger", "nmae": "x"}
    with pytest.raises(ConfigError, match=r"logger\.csv\.nmae; did you mean logger\.csv\.name"):
        build_loggers({"csv": spec}, tmp_path)


def test_precision_is_resolved_for_the_accelerator():
    assert precision_of({"precision": "32-true", "accelerator": "cpu"}) == (
        "32-true",
        "as configured",
    )
    assert precision_of({"precision": "auto", "accelerator": "cpu"})[0] in ("bf16-mixed", "32-true")
