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


def epochs(content):
    return content["loops"]["fit_loop"]["epoch_progress"]["current"]


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
    "true steps": lambda c: c.update(global_step=True),
    "half an epoch": lambda c: epochs(c).update(processed=1.5),
    "epochs below none": lambda c: epochs(c).update(processed=-3),
    "many epochs": lambda c: epochs(c).update(ready=2**60),
    "half a batch of a loader": lambda c: c["loops"]["fit_loop"]["state_dict"]["combined_loader"][
        0
    ].update(batches=1.5),
    "settings of callbacks that are a number": lambda c: c.update(callback_settings=5),
    "settings of a callback that are a list": lambda c: c.update(
        callback_settings={"checkpointing": [1]}
    ),
    "no rates": lambda c: c["lr_schedulers"][0].update(base_lrs=[]),
    "two rates": lambda c: c["lr_schedulers"][0].update(base_lrs=[0.1, 0.1]),
    "a negative rate in a schedule": lambda c: c["lr_schedulers"][0].update(_last_lr=[-1.0]),
    "an epoch below none": lambda c: c["lr_schedulers"][0].update(last_epoch=-2),
    "an epoch that is no number": lambda c: c["lr_schedulers"][0].update(last_epoch=float("nan")),
    "a late epoch": lambda c: c["lr_schedulers"][0].update(last_epoch=10**18),
    "a negative rate": lambda c: optimizer_state(c)["param_groups"][0].update(lr=-1.0),
    "a rate of true": lambda c: optimizer_state(c)["param_groups"][0].update(lr=True),
    "a recorded rate of text": lambda c: c["hyper_parameters"]["optimizer"].update(lr="x"),
    "settings that are a list": lambda c: c.update(hyper_parameters=[1]),
    "weights of complex numbers": lambda c: c["state_dict"].update(
        {k: w.to(torch.complex64) for k, w in c["state_dict"].items() if w.ndim == 4}
    ),
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
    trainer = trainer_with(stopping)
    loop, state = trainer.fit_loop.state_dict(), stopping.state_dict()
    change(loop, state)
    parts = {"loops": {"fit_loop": loop}, "callbacks": {stopping.state_key: state}}
    with pytest.raises(InputError, match=rf"last\.ckpt: training cannot resume .*{message}"):
        explain_restoring(trainer, Path("last.ckpt"), parts)


def test_errors_of_lightning_are_one_line():
    trainer = trainer_with()
    explain_restoring(trainer, Path("last.ckpt"), {"callbacks": {}})
    trainer._checkpoint_connector._loaded_checkpoint = {
        "loops": {"fit_loop": {"epoch_progress": 1}}
    }
    with pytest.raises(InputError, match=r"last\.ckpt: training cannot resume from it: "):
        trainer._checkpoint_connector.restore_training_state()


def trainer_with(*callbacks):
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        callbacks=list(callbacks),
    )


def test_callbacks_that_are_missing_are_named_in_one_line(broken, run, verb, recwarn):
    path = broken(lambda c: c["callbacks"].update(Nope={"a": 1}))
    done = verb("train", f"resume={run.path}")
    assert done.code == 0, done
    assert done.err.splitlines() == [
        f"warning: {path}: this training lacks callbacks whose state it holds: Nope"
    ]
    assert not [one for one in recwarn if "Be aware" in str(one.message)]


def test_a_recorded_rate_of_zero_is_replaced(broken, run, verb):
    broken(lambda c: c["hyper_parameters"]["optimizer"].update(lr=0.0))
    done = verb("train", f"resume={run.path}", "trainer.max_epochs=3")
    assert done.code == 0, done
