"""`resume=auto` finds the run to continue; changes to its config are reported."""

import os
import sys
import time

import pytest
from omegaconf import OmegaConf

from vgg_lit.checkpoints.storage import SCHEMA, write_checkpoint
from vgg_lit.config.checks import to_plain
from vgg_lit.config.differences import changes
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training.resuming import find_resumed, resumed_config

CONFIG = {"seed": 3, "trainer": {"max_epochs": 2}, "optimizer": {"lr": 0.1}}


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", CONFIG, ["seed=3"])


@pytest.fixture
def begun(compose, tmp_path, monkeypatch):
    """`begun("seed=1")`: an unfinished run with these settings and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    names = iter(f"2026-01-0{day}_00-00-00_abcd" for day in range(1, 9))

    def begun(*overrides, saves=True):
        config = to_plain(compose(*overrides))
        run = Run.start(f"logs/runs/vgg11/{next(names)}", config, overrides)
        if saves:
            write_checkpoint({"vgg_lit": {"schema": SCHEMA}}, run.checkpoints / "last.ckpt")
        return run

    return begun


def test_the_last_unfinished_run_with_the_same_settings_is_found(begun):
    begun("model=vgg11", "seed=1")
    second = begun("model=vgg11", "seed=1")
    begun("model=vgg11", "seed=2")
    begun("model=vgg11", "seed=1").set_status("done")
    begun("model=vgg11", "seed=1", saves=False)
    found = find_resumed(["seed=1", "resume=auto", "model=vgg11"])
    assert found == [f"resume={second.path}"]


def test_trusted_targets_are_kept_on_the_command_line(begun):
    run = begun("model=vgg11")
    found = find_resumed(["model=vgg11", "trusted_targets=[mine,yours.nets]", "resume=auto"])
    assert found == [f"resume={run.path}", 'trusted_targets=["mine", "yours.nets"]']


@pytest.mark.parametrize("status", ["failed", "preempted", "running"])
def test_a_run_is_found_with_any_unfinished_status(status, begun):
    run = begun("model=vgg11")
    run.set_status(status)
    assert find_resumed(["model=vgg11", "resume=auto"]) == [f"resume={run.path}"]


def test_without_a_matching_run_a_new_one_starts(begun):
    begun("model=vgg11", "seed=1")
    assert find_resumed(["model=vgg11", "resume=auto"]) == ["model=vgg11"]
    assert find_resumed(["model=vgg19", "resume=auto"]) == ["model=vgg19"]


def test_a_run_that_is_being_trained_is_not_resumed(begun):
    run = begun("model=vgg11")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with run.at_work():
            os.write(writing, b"x")
            time.sleep(60)
        os._exit(0)
    os.read(reading, 1)
    try:
        assert find_resumed(["model=vgg11", "resume=auto"]) == ["model=vgg11"]
        with pytest.raises(InputError, match="another process is training this run"), run.at_work():
            pass
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert find_resumed(["model=vgg11", "resume=auto"]) == [f"resume={run.path}"]


def test_custom_config_directories_are_searched(begun, tmp_path):
    own = tmp_path / "own"
    (own / "model").mkdir(parents=True)
    (own / "model" / "mine.yaml").write_text("defaults: [vgg]\nvariant: vgg11\n")
    run = begun("model=vgg11")
    flags = ["--config-dir", str(own)]
    found = find_resumed([*flags, "model=mine", "resume=auto", "name=vgg11"])
    assert found == [*flags, f"resume={run.path}"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1"],
        ["resume=logs/runs/x"],
        ["-m", "seed=1,2", "resume=auto"],
        ["model=nothing"],
    ],
)
def test_other_command_lines_are_unchanged(arguments, begun):
    assert find_resumed(arguments) == arguments


def test_other_errors_are_left_to_the_verb(begun):
    assert find_resumed(["model=nothing", "resume=auto"]) == ["model=nothing"]


def test_changes_are_listed_as_overrides():
    before = {"seed": 0, "model": {"width": 1.0, "num_classes": 2}, "compile": False, "test": True}
    after = {
        "seed": 1,
        "model": {"width": 0.5, "num_classes": None},
        "compile": True,
        "test": False,
    }
    assert list(changes(before, after)) == [
        "seed=1 (was 0)",
        "model.width=0.5 (was 1.0)",
        "compile=true (was false)",
    ]


def composed(settings):
    return OmegaConf.create({**CONFIG, "resume": "x", "trusted_targets": [], **settings})


def test_overrides_apply_to_a_resumed_config(run):
    typed = composed({"trainer": {"max_epochs": 9, "new": 1}})
    overrides = ["resume=x", "trainer.max_epochs=9", "+trainer.new=1"]
    found = resumed_config(run, typed, overrides)
    assert found["trainer"] == {"max_epochs": 9, "new": 1}
    assert found["optimizer"] == CONFIG["optimizer"]
    assert found["seed"] == 3


def test_other_values_are_kept_from_the_run(run):
    other = composed({"seed": 7, "trainer": {"max_epochs": 50}})
    found = resumed_config(run, other, ["resume=x"])
    assert found["seed"] == 3
    assert found["trainer"]["max_epochs"] == 2


def test_a_resumed_run_keeps_its_groups(run):
    typed = composed({"optimizer": {"lr": 9.0}})
    with pytest.raises(InputError, match="optimizer=adam: a resumed run keeps its optimizer"):
        resumed_config(run, typed, ["optimizer=adam"])


def test_trusted_targets_of_a_run_are_not_inherited(tmp_path):
    strange = Run.start(tmp_path / "strange", {**CONFIG, "trusted_targets": ["theirs"]}, [])
    assert resumed_config(strange, composed({}), ["resume=x"])["trusted_targets"] == []
    ours = composed({"trusted_targets": ["mine"]})
    assert resumed_config(strange, ours, ["resume=x"])["trusted_targets"] == ["mine"]


def test_settings_without_effect_on_training_are_not_changes(compose):
    plain = to_plain(compose())
    other = to_plain(
        compose(
            "test=false",
            "logger=none",
            "callbacks.checkpointing.every_n_steps=3",
            "trainer.process_timeout=1",
            "name=x",
        )
    )
    assert list(changes(plain, other)) == []


def test_a_resumed_run_warns_about_changed_settings(verb, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "vgg_lit.training.experiment.run_experiment", lambda *args: {"val/acc": 0.5}
    )
    done = verb("train", f"resume={tiny_run.path}", "data.batch_size=8", "trainer.max_epochs=9")
    assert done.code == 0, done.err
    assert [line.split(": the result")[0] for line in done.err.splitlines()] == [
        "warning: data.batch_size=8 (was 16)",
        "warning: trainer.max_epochs=9 (was 2)",
    ]
    assert sys.argv[1].startswith("resume=")
