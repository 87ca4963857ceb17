"""An interrupted and resumed run is bit-identical to an uninterrupted run."""

import csv

import lightning.pytorch as L
import pytest
import torch
from nested_values import assert_same

from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training import experiment

EPOCHS = 4
SCHEDULES = {
    "one_cycle": (),
    "cosine": (),
    "plateau": ("scheduler.patience=0", "scheduler.threshold=0.5"),
    "step": ("scheduler.every_epochs=1", "scheduler.factor=0.5"),
    "multistep": ("scheduler.milestones=[2,3]",),
    "polynomial": ("scheduler.final_fraction=0.25", "scheduler.end_factor=0.1"),
    "cosine_restarts": ("scheduler.cycles=2",),
    "none": (),
}


class Interrupted(Exception):
    pass


class Interrupt(L.Callback):
    """Aborts the run at a given step, as a crash would."""

    def __init__(self, epoch, step):
        self.when = (epoch, step)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.when:
            raise Interrupted


@pytest.fixture
def crash(monkeypatch, train):
    """`crash(path, epoch, step, *overrides)`: a run that is aborted there."""

    def crash(path, epoch, step, *overrides):
        build = experiment.build_trainer

        def build_and_break(*args, **kwargs):
            trainer = build(*args, **kwargs)
            trainer.callbacks.append(Interrupt(epoch, step))
            return trainer

        with monkeypatch.context() as patch:
            patch.setattr(experiment, "build_trainer", build_and_break)
            with pytest.raises(Interrupted):
                train(path, *overrides)
        return Run(path)

    return crash


def content(run, name="last"):
    return torch.load(run.checkpoint(name), weights_only=True)


def rows(run):
    """The rows of metrics.csv without the column of times."""
    with run.metrics_file.open() as lines:
        table = list(csv.DictReader(lines))
    return [without_times(row) for row in table]


def without_times(metrics):
    return {k: v for k, v in metrics.items() if not k.startswith("throughput")}


@pytest.mark.parametrize(
    ("schedule", "step"), [*((name, 2) for name in SCHEDULES), ("one_cycle", 0), ("plateau", 0)]
)
def test_resumed_run_equals_the_uninterrupted_run(schedule, step, tmp_path, train, crash, resume):
    options = [
        f"scheduler={schedule}",
        *SCHEDULES[schedule],
        f"trainer.max_epochs={EPOCHS}",
        "model.head={hidden: [64], dropout: 0.5}",
        "data.val_fraction=0.02",
        "optimizer.lr=0.01",
        "logger.tensorboard=null",
    ]
    whole = train(tmp_path / "whole", *options)
    broken = crash(tmp_path / "broken", 2, step, *options)
    assert broken.status["status"] == "failed"
    assert [row["epoch"] for row in rows(broken)] == ["1", "2"]
    resume(broken)
    assert broken.status["status"] == "done"
    assert rows(broken) == rows(whole)
    for name in ("last", "best"):
        found, expected = content(broken, name), content(whole, name)
        for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(found[part], expected[part], f"{name}.{part}")
    assert {k: v for k, v in broken.metrics.items() if k.startswith("test/")} == {
        k: v for k, v in whole.metrics.items() if k.startswith("test/")
    }


@pytest.fixture
def out_of_time(monkeypatch):
    """`out_of_time(6)`: `trainer.max_time` ends a training after six batches."""

    def out_of_time(batches):
        def check(self, trainer):
            trainer.should_stop |= trainer.fit_loop.epoch_loop.batch_progress.total.ready >= batches

        monkeypatch.setattr(L.callbacks.Timer, "_check_time_remaining", check)

    return out_of_time


@pytest.mark.parametrize(
    ("batches", "limit", "unlimited", "options"),
    [
        (6, "trainer.max_time=00:00:01:00", "trainer.max_time=null", ()),
        (  # the stop is between accumulated batches
            *(5, "trainer.max_time=00:00:01:00", "trainer.max_time=null"),
            ("trainer.accumulate_grad_batches=2", "callbacks=[default,ema]"),
        ),
        (99, "trainer.max_steps=6", "trainer.max_steps=-1", ("scheduler=none",)),
    ],
)
def test_a_run_that_was_limited_within_an_epoch_continues_there(
    batches, limit, unlimited, options, out_of_time, tmp_path, train, resume, capsys
):
    options = ("trainer.max_epochs=3", "optimizer.lr=0.01", "logger.tensorboard=null", *options)
    whole = train(tmp_path / "whole", *options)
    out_of_time(batches)
    parts = train(tmp_path / "parts", *options, limit)
    assert parts.is_done()
    capsys.readouterr()
    resume(parts, unlimited)
    assert "in epoch 2, after step" in capsys.readouterr().out
    assert rows(parts) == rows(whole)
    for name in ("last", "best"):
        found, expected = content(parts, name), content(whole, name)
        for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(found[part], expected[part], f"{name}.{part}")
    scores = [run.metrics | {"seconds": 0} for run in (parts, whole)]
    assert without_times(scores[0]) == without_times(scores[1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_finished_run_resumes_for_more_epochs(schedule, tmp_path, train, resume):
    run = train(tmp_path / "run", f"scheduler={schedule}", *SCHEDULES[schedule])
    resume(run, "trainer.max_epochs=3")
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3"]
    assert content(run)["global_step"] == 12
    assert run.config["trainer"]["max_epochs"] == 3


@pytest.mark.parametrize(
    "options",
    [
        ("callbacks=[default,ema]",),
        ("callbacks=[default,early_stopping]",),
        ("trainer.accumulate_grad_batches=2",),
        ("data.val_fraction=0",),
        ("scheduler=plateau", "data.val_fraction=0", "scheduler.patience=0"),
        ("scheduler=plateau", "trainer.check_val_every_n_epoch=2", "scheduler.patience=0"),
        ("optimizer=adamw", "optimizer.lr=0.01"),
        ("callbacks=[default,swa]", "callbacks.swa.from_epoch=2"),
        ("optimizer=nadam",),
        ("optimizer=muon_adamw", "model.head=cifar"),
        ("optimizer=rmsprop", "optimizer.lr=1e-3"),
        (
            *(
                "optimizer=muon",
                "scheduler=linear",
                "model.whitening=2",
                "data.image_size=34",
                "model.norm_scale=false",
            ),
            *("optimizer.layer_epochs={whiten: 1}", "trainer.gradient_clip_val=null"),
        ),
        pytest.param(
            (
                "callbacks=[default,ema]",
                "scheduler=plateau",
                "scheduler.patience=0",
                "trainer.accumulate_grad_batches=2",
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=",".join,
)
def test_stateful_options_survive_a_resume(options, tmp_path, train, crash, resume):
    options = (f"trainer.max_epochs={EPOCHS}", "optimizer.lr=0.01", *options)
    whole = train(tmp_path / "whole", *options)
    broken = resume(crash(tmp_path / "broken", 2, 1, *options))
    assert rows(broken) == rows(whole)
    found, expected = content(broken), content(whole)
    for checkpoint in (found, expected):
        for state in checkpoint["callbacks"].values():
            if "best_metrics" in state:
                state["best_metrics"] = without_times(state["best_metrics"])
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks"):
        assert_same(found[part], expected[part], part)


@pytest.mark.parametrize("every", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("callbacks=[default,ema]",),
        ("callbacks=[default,swa]", "callbacks.swa.from_epoch=1"),
        ("trainer.accumulate_grad_batches=2",),
        ("augment=mixup", "model.head={hidden: [64], dropout: 0.5}"),
        ("callbacks.checkpointing.asynchronous=true",),
        ("scheduler=plateau", "scheduler.patience=0"),
        ("scheduler=step", "scheduler.every_epochs=1"),
        (
            *("optimizer=muon", "scheduler=linear", "model.whitening=2", "data.image_size=34"),
            *("optimizer.layer_epochs={whiten: 1}", "trainer.gradient_clip_val=null"),
        ),
    ],
    ids=lambda options: ",".join(options) or "default",
)
def test_resuming_within_an_epoch_gives_the_same_run(
    options, every, tmp_path, train, crash, resume
):
    options = ("trainer.max_epochs=3", "optimizer.lr=0.01", *options)
    whole = train(tmp_path / "whole", *options)
    saving = f"callbacks.checkpointing.every_n_steps={every}"
    broken = crash(tmp_path / "broken", 1, 3, *options, saving)
    assert content(broken)["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"][
        "ready"
    ] in (2, 3)
    resume(broken)
    assert rows(broken) == rows(whole)
    for name in ("last", "best"):
        found, expected = content(broken, name), content(whole, name)
        for part in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(found[part], expected[part], f"{name}.{part}")
        assert_same(
            found.get("current_model_state"), expected.get("current_model_state"), "trained"
        )


def test_a_damaged_last_checkpoint_is_reported_and_the_previous_used(
    tmp_path, train, crash, resume, capsys
):
    options = ("trainer.max_epochs=2", "optimizer.lr=0.01", "logger=none")
    whole = train(tmp_path / "whole", *options)
    saving = "callbacks.checkpointing.every_n_steps=1"
    broken = crash(tmp_path / "broken", 1, 2, *options, saving)
    last = broken.checkpoint("last")
    damaged = bytearray(last.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    last.write_bytes(damaged)
    capsys.readouterr()
    resume(broken)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"warning: {last}: is damaged: its SHA-256")
    assert second.endswith("previous.ckpt instead")
    assert (last.parent / "last.ckpt.damaged").read_bytes() == damaged
    assert rows(broken) == rows(whole)
    assert_same(content(broken)["state_dict"], content(whole)["state_dict"])


def test_a_run_without_a_checkpoint_cannot_be_resumed(tmp_path, crash, resume):
    broken = crash(tmp_path / "broken", 0, 1)
    with pytest.raises(InputError, match="has not written any"):
        resume(broken)


def test_ckpt_path_starts_a_new_run_from_a_checkpoint(tmp_path, train, tiny_run):
    start = tiny_run.checkpoint("last")
    run = train(tmp_path / "run", "trainer.max_epochs=3", f"ckpt_path={start}")
    assert [row["epoch"] for row in rows(run)] == ["3"]
    assert content(run)["global_step"] == content(tiny_run)["global_step"] + 4
    assert run.path != tiny_run.path
