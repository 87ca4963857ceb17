"""The config of a resumed run; changes to it are reported."""

import sys

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.checks import to_plain
from vgg_lit.config.differences import changes
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training.resuming import resumed_config

CONFIG = {"seed": 3, "trainer": {"max_epochs": 2}, "optimizer": {"lr": 0.1}}


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", CONFIG, ["seed=3"])


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


def test_a_resumed_run_keeps_its_name(run):
    run.config_file.write_text(run.config_file.read_text() + "name: first\n")
    assert resumed_config(run, composed({"name": "first"}), ["name=first"])["name"] == "first"
    with pytest.raises(InputError, match="name=other: has no effect in a resumed run; start a new"):
        resumed_config(run, composed({"name": "other"}), ["name=other"])
