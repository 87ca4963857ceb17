"""Settings of a resumed run take effect, or are refused by the config of the run itself."""

import pytest
import torch
from omegaconf import OmegaConf

from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training.resuming import as_values_of_run, resumed_config
from vgg_lit.training.starting import prepare

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def plateau_run(train, tmp_path_factory):
    """A finished run with settings that the default config does not have. Copy it before a resume."""
    return train(
        tmp_path_factory.mktemp("plateau") / "run",
        "scheduler=plateau",
        "callbacks=[default,early_stopping,ema]",
        "optimizer.lr=0.01",
        "logger=none",
    )


@pytest.fixture
def copied(plateau_run, tmp_path):
    import shutil

    shutil.copytree(plateau_run.path, tmp_path / "run")
    return Run(tmp_path / "run")


def state_of(run):
    return torch.load(run.checkpoint("last"), weights_only=True)


def test_settings_that_the_default_config_lacks_take_effect(copied, verb):
    done = verb(
        "train",
        f"resume={copied.path}",
        "trainer.max_epochs=2",
        "scheduler.patience=4",
        "scheduler.min_lr=0.001",
        "callbacks.early_stopping.patience=7",
        "callbacks.ema.decay=0.5",
        "optimizer.momentum=0.8",
        "optimizer.lr=0.02",
    )
    assert done.code == 0, done.err
    assert "resumes  after epoch 1, step 4, from " in done.out
    assert Run(copied.path).config["scheduler"]["patience"] == 4
    state = state_of(copied)
    (schedule,) = state["lr_schedulers"]
    assert (schedule["patience"], schedule["min_lrs"]) == (4, [0.001] * len(schedule["min_lrs"]))
    stopping = next(v for k, v in state["callbacks"].items() if k.startswith("EarlyStopping"))
    assert stopping["patience"] == 7
    for group in state["optimizer_states"][0]["param_groups"]:
        assert group["momentum"] == 0.8
        assert group["lr"] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scheduler.patience=x", "scheduler.patience=x"),
        ("scheduler.patience=-1", "patience=-1: should be at least 0"),
        ("scheduler.warmup_fraction=0.1", "unknown key scheduler.warmup_fraction"),
        ("callbacks.early_stoping.patience=3", "unknown key"),
        ("optimizer.momentum=2", "momentum=2"),
        (
            "scheduler=cosine",
            "a resumed run keeps its scheduler; allowed: single values: scheduler.",
        ),
        ("model=vgg19", "to train with another model, start a new run"),
        ("debug=limit", "a resumed run keeps its debug"),
        ("'callbacks=[default]'", "a resumed run keeps its callbacks"),
        ("trainer.max_epochs=0", "max_epochs=0"),
        ("find_lr=true", "cannot be combined with resume="),
        ("init.from=x", "init.from=x: has no effect in a resumed run; start a new run"),
        ("init.layers=[block1]", "init.layers=[block1]: has no effect in a resumed run"),
        ("ckpt_path=x", "ckpt_path=x: has no effect in a resumed run"),
        ("model.init=paper", "model.init=paper: has no effect in a resumed run"),
        ("seed=9", "error: seed=9: a resumed run keeps seed; start a new run"),
        ("freeze=[block1]", "error: freeze=[block1]: a resumed run keeps freeze; start a new run"),
        ("optimizer.layer_rates={block1:0.1}", "a resumed run keeps optimizer.layer_rates; start"),
        ("callbacks.finite_loss=null", "error: callbacks.finite_loss=null: a resumed run keeps"),
        ("~callbacks.progress", "error: callbacks.progress=null: a resumed run keeps"),
        ("hydra.run.dir=other", "error: hydra.run.dir=other: cannot be given with resume, which"),
    ],
)
def test_other_settings_are_refused_by_the_runs_own_config(
    override, message, copied, verb, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in copied.path.iterdir()}
    done = verb("train", f"resume={copied.path}", override.strip("'"))
    assert done.code == 2, done
    assert done.err.count("\n") == 1, done.err
    assert message in done.err
    before.pop(".lock", None)
    after = {path.name: path.stat().st_mtime_ns for path in copied.path.iterdir()}
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["resume=x", "a.b=1"], ["resume=x", "++a.b=1"]),
        (["resume=x", "seed=1", "model=y"], ["resume=x", "seed=1", "model=y"]),
        (["resume=x", "+a.b=1", "~c.d"], ["resume=x", "+a.b=1", "++c.d=null"]),
        (["resume=x", "hydra.run.dir=1"], ["resume=x", "hydra.run.dir=1"]),
        (["resume=auto", "a.b=1"], ["resume=auto", "a.b=1"]),
        (["a.b=1"], ["a.b=1"]),
        (["-m", "resume=x", "a.b=1"], ["-m", "resume=x", "a.b=1"]),
        (["resume=x", "a.b=[1"], ["resume=x", "a.b=[1"]),
    ],
)
def test_values_of_a_resumed_run_are_forced_past_the_default_config(arguments, expected):
    assert as_values_of_run(arguments) == expected
    assert as_values_of_run(expected) == expected  # the other ranks start with them
    assert prepare(["resume=x", "a.b=1"]) == ["resume=x", "++a.b=1"]


def test_a_run_that_is_resumed_does_not_need_the_source_of_its_first_weights(
    copied, train, verb, tmp_path
):
    run = train(tmp_path / "tuned", f"init.from={copied.path}", "logger=none")
    copied.path.rename(tmp_path / "away")
    done = verb("train", f"resume={run.path}", "trainer.max_epochs=2")
    assert done.code == 0, done.err
    assert run.status["status"] == "done"


def test_settings_that_a_run_keeps_can_be_repeated(copied, compose):
    same = ("seed=0", "freeze=[]", "init.from=null", "model.init=kaiming")
    assert resumed_config(copied, compose(*same), same)["seed"] == 0


def test_a_changed_augmentation_takes_effect(copied, resume, tmp_path):
    import shutil

    shutil.copytree(copied.path, tmp_path / "other")
    losses = [
        resume(run, "trainer.max_epochs=2", f"augment.padding={padding}").metrics["train/loss"]
        for padding, run in ((1, copied), (4, Run(tmp_path / "other")))
    ]
    assert copied.config["data"]["augment"]["padding"] == 1
    assert Run(tmp_path / "other").config["data"]["augment"]["padding"] == 4
    assert losses[0] != losses[1]


def test_a_value_can_be_added_explicitly(copied):
    typed = OmegaConf.create({"resume": "x", "trusted_targets": [], "trainer": {"new": 1}})
    assert resumed_config(copied, typed, ["+trainer.new=1"])["trainer"]["new"] == 1
    with pytest.raises(InputError, match=r"unknown key trainer\.new"):
        resumed_config(copied, typed, ["++trainer.new=1"])


def test_a_learning_rate_that_rises_again_is_reported(tmp_path, train, resume, capsys):
    run = train(tmp_path / "run", "optimizer.lr=0.01", "logger=none")
    capsys.readouterr()
    resume(run, "trainer.max_epochs=3")
    err = capsys.readouterr().err
    assert "warning: the learning rate rises again at step 5, from " in err
    assert (
        "to avoid it, start a new run of that length, or one from these weights with init.from="
        in err
    )


def test_seconds_are_those_of_all_attempts(copied, resume):
    saved = state_of(copied)["seconds"]
    assert saved > 0
    resume(copied, "trainer.max_epochs=2")
    assert Run(copied.path).metrics["seconds"] > saved
    assert state_of(copied)["seconds"] > saved


def test_a_new_run_does_not_report_the_best_score_of_its_start(tmp_path, train, plateau_run):
    start = plateau_run.checkpoint("last")
    run = train(
        tmp_path / "new",
        "scheduler=plateau",
        "callbacks=[default,early_stopping,ema]",
        "optimizer.lr=1e-12",
        "augment=none",
        "data.val_fraction=0.02",
        "logger=none",
        "trainer.max_epochs=2",
        f"ckpt_path={start}",
    )
    (row,) = run.epochs()
    assert run.metrics["val/loss"] == pytest.approx(float(row["val/loss"]), rel=1e-5)
    assert run.checkpoint("best").name == "best.ckpt"
    assert state_of(run)["seconds"] < 60 + run.metrics["seconds"]
    states = state_of(run)["callbacks"]
    (best,) = [
        state for state in states.values() if "best_score" in state and "best_metrics" in state
    ]
    assert best["best_score"] == pytest.approx(float(row["val/loss"]), rel=1e-5)


@pytest.mark.slow  # trains in a new process
def test_a_repetition_names_the_settings_of_resumes(copied, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert verb("train", f"resume={copied.path}", "trainer.max_epochs=2").code == 0
    done = verb("reproduce", f"run={copied.path}", "output=again")
    assert "was resumed with trainer.max_epochs=2; the repetition uses" in done.err
    assert done.code in (0, 1)
    if done.code:
        assert "resumed with trainer.max_epochs=2" in done.err.splitlines()[-1]
