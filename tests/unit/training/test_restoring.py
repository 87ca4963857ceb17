"""An invalid training state is refused in one line before a run starts or changes."""

import shutil
from pathlib import Path

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from vgg_lit.checkpoints.storage import sha256
from vgg_lit.errors import InputError
from vgg_lit.optim import Steps
from vgg_lit.runs import Run
from vgg_lit.training.restoring import check_state, explain_restoring


@pytest.fixture
def run(tiny_run, tmp_path, monkeypatch):
    """A writable copy of a finished run of two epochs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_run.path, "run")
    return Run("run")


@pytest.fixture
def broken(run):
    """`broken(change)`: its last checkpoint, changed and without a digest."""

    def broken(change):
        path = run.checkpoint("last")
        content = torch.load(path, weights_only=True)
        change(content)
        path.with_name("last.ckpt.sha256").unlink()
        torch.save(content, path)
        return path

    return broken


def optimizer_state(content):
    return content["optimizer_states"][0]


def momentum(content):
    return optimizer_state(content)["state"][0]


BROKEN = {
    "no optimiser": lambda c: c.pop("optimizer_states"),
    "no state": lambda c: c.update(optimizer_states=[]),
    "another kind of state": lambda c: c.update(optimizer_states="x"),
    "two optimisers": lambda c: c["optimizer_states"].append({}),
    "state that is lost": lambda c: optimizer_state(c).update(state={}),
    "no groups": lambda c: optimizer_state(c).update(param_groups=[]),
    "a parameter too few": lambda c: optimizer_state(c)["param_groups"][0]["params"].pop(),
    "a rate of text": lambda c: optimizer_state(c)["param_groups"][0].update(lr="fast"),
    "no momentum": lambda c: optimizer_state(c)["param_groups"][0].pop("momentum"),
    "momentum of another shape": lambda c: momentum(c).update(momentum_buffer=torch.zeros(7, 5)),
    "momentum of text": lambda c: momentum(c).update(momentum_buffer="x"),
    "momentum of infinity": lambda c: momentum(c)["momentum_buffer"].fill_(float("inf")),
    "another's state": lambda c: momentum(c).update(exp_avg=torch.zeros(1)),
    "no schedule": lambda c: c.pop("lr_schedulers"),
    "an empty schedule": lambda c: c.update(lr_schedulers=[{}]),
    "no step": lambda c: c.pop("global_step"),
    "a step of text": lambda c: c.update(global_step="4"),
    "no loops": lambda c: c.pop("loops"),
    "half of the loops": lambda c: c["loops"]["fit_loop"]["epoch_loop.batch_progress"].pop(
        "current"
    ),
    "callbacks of text": lambda c: c.update(callbacks="x"),
    "rates that are no list": lambda c: c["lr_schedulers"][0].update(base_lrs=5),
    "an epoch of text": lambda c: c["lr_schedulers"][0].update(last_epoch="x"),
    "metrics that are no mapping": lambda c: c["callbacks"]["Checkpointing"].update(best_metrics=3),
    "metrics of text": lambda c: c["callbacks"]["Checkpointing"].update(best_metrics={"a": "x"}),
    "a count of text": lambda c: c["loops"]["fit_loop"]["epoch_loop.batch_progress"][
        "total"
    ].update(ready="x"),
    "what metrics counted": lambda c: c.update(partial_epoch=[{"net": {"state": {}}}]),
}


KNOWN_TO_LIGHTNING = (
    *("half of the loops", "callbacks of text", "what metrics counted"),
    "a count of text",
)


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in KNOWN_TO_LIGHTNING])
def test_a_broken_state_is_one_line(name, broken, run):
    path = broken(BROKEN[name])
    with pytest.raises(InputError, match=r"last\.ckpt: training cannot resume from it: ") as caught:
        check_state(path, run.config, Steps(total=8, per_epoch=4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "no momentum",
        *(pytest.param(n, marks=pytest.mark.slow) for n in BROKEN if n != "no momentum"),
    ],
)
def test_the_command_reports_a_broken_state_and_changes_no_file(name, broken, run, verb, tiny):
    path = broken(BROKEN[name])
    before = {file: sha256(file) for file in run.checkpoints.iterdir()}
    for settings in ([f"resume={run.path}"], [*tiny, f"ckpt_path={path}", "trainer.max_epochs=3"]):
        done = verb("train", *settings)
        assert done.code == 2, done
        assert done.err.startswith(f"error: {path}: training cannot resume from it: "), done.err
        assert done.err.count("\n") == 1
    assert {file: sha256(file) for file in run.checkpoints.iterdir()} == before


OTHERS = {
    "optimizer=adamw": "its optimiser is torch.optim.SGD, not torch.optim.AdamW",
    "scheduler=plateau": "its schedule state does not fit vgg_lit.optim.plateau;",
    "scheduler=none": "its schedule state does not fit vgg_lit.optim.constant;",
    "trainer.max_epochs=1": "trainer.max_epochs=1: 2 epochs are done; allowed: 2 or more",
}


@pytest.mark.parametrize(
    "setting",
    [n if n.startswith("optim") else pytest.param(n, marks=pytest.mark.slow) for n in OTHERS],
)
def test_a_checkpoint_of_other_settings_is_refused(setting, run, verb, tiny):
    start = f"ckpt_path={run.checkpoint('last')}"
    done = verb("train", *tiny, start, "trainer.max_epochs=3", setting)
    assert done.code == 2
    assert OTHERS[setting] in done.err
    assert done.err.count("\n") == 1
    assert not list(run.path.parent.glob("logs/*/*/*"))


def test_fewer_epochs_than_trained_are_refused(run, verb):
    config, status = run.config, run.status
    done = verb("train", f"resume={run.path}", "trainer.max_epochs=1")
    assert (done.code, done.err.count("error: ")) == (2, 1)
    assert "2 epochs are done" in done.err
    assert (run.config, run.status) == (config, status)


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["optimizer=adam", "optimizer=adamw", "freeze=[block1]"])
def test_states_of_other_optimisers_are_restored(setting, train, resume, tmp_path):
    run = train(tmp_path / "run", "optimizer.lr=0.01", setting)
    resume(run, "trainer.max_epochs=2")
    assert run.status["status"] == "done"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda loop, stopping: stopping.update(best_score=5), "best_score=5: is not a tensor"),
        (
            lambda loop, stopping: loop["epoch_loop.batch_progress"]["total"].update(ready="x"),
            "ready=x: is not a int",
        ),
        (lambda loop, stopping: loop.update(epoch_progress=[]), r"=\[\]: is not a dict"),
    ],
)
def test_values_of_another_type_in_loops_and_callbacks_are_one_line(change, message):
    stopping = EarlyStopping("val/loss")
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=[stopping],
    )
    explain_restoring(trainer, Path("last.ckpt"))
    loop, state = trainer.fit_loop.state_dict(), stopping.state_dict()
    change(loop, state)
    stopping.load_state_dict(state)  # Lightning restores callbacks in the step that reads the file
    connector = trainer._checkpoint_connector
    connector._loaded_checkpoint = {
        "loops": {"fit_loop": loop},
        "callbacks": {stopping.state_key: state},
    }
    with pytest.raises(InputError, match=rf"last\.ckpt: training cannot resume .*{message}"):
        connector.restore_training_state()
