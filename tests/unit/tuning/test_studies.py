"""A study's directory: storage, samplers, and the reports of a trial."""

import sqlite3
from contextlib import closing

import pytest

from vgg_lit.errors import InputError
from vgg_lit.tuning.studies import (
    STORAGE_FILES,
    StudyDirectory,
    build_pruner,
    build_sampler,
    require_optuna,
)

optuna = pytest.importorskip("optuna", reason="needs the extra tune")

NONE = {"_target_": "optuna.pruners.NopPruner"}
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 2}
RANDOM = {"_target_": "optuna.samplers.RandomSampler", "seed": 3}


def test_a_study_is_found_after_it_was_moved(directory, tmp_path):
    directory.open(NONE).ask()
    directory.path.rename(tmp_path / "moved")
    study = StudyDirectory(tmp_path / "moved").open(NONE)
    assert len(study.trials) == 1
    assert study.direction.name == "MAXIMIZE"


def test_creating_a_study_twice_keeps_its_trials(directory):
    directory.open(NONE).ask()
    kind = "sqlite" if "sqlite" in directory.url else "journal"
    directory.create(kind, is_maximised=True)
    assert len(directory.open(NONE).trials) == 1


def test_another_storage_is_refused(directory):
    is_sqlite = directory.url.startswith("sqlite:///")
    other, own = ("journal", "sqlite") if is_sqlite else ("sqlite", "journal")
    with pytest.raises(InputError, match=f"storage={other}: the study in .* has storage={own}"):
        directory.create(other, is_maximised=True)


def test_two_storages_are_both_named(directory):
    for name in STORAGE_FILES.values():
        (directory.path / name).touch()
    kind = "sqlite" if directory.url.startswith("sqlite:///") else "journal"
    with pytest.raises(InputError, match=r"study: has study\.db and journal\.log; remove the file"):
        directory.create(kind, is_maximised=True)


def test_a_storage_that_lost_trials_is_refused(directory):
    kind = "sqlite" if directory.url.startswith("sqlite:///") else "journal"
    directory.open(NONE).ask()
    for name in ("0", "0.attempt1"):
        directory.trials.joinpath(name).mkdir(parents=True)
    directory.create(kind, is_maximised=True)
    directory.trial(1).mkdir()
    with pytest.raises(InputError, match=r": has lost trials: it has 1, but .*1 is the run of an"):
        directory.create(kind, is_maximised=True)


def test_a_completed_trial_without_a_value_is_refused(tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    with directory.lock():
        directory.create("sqlite", is_maximised=True)
    study = directory.open(NONE)
    study.tell(study.ask(), 0.5)
    with closing(sqlite3.connect(directory.path / "study.db")) as storage, storage:
        storage.execute("delete from trial_values")
    with pytest.raises(InputError, match=r"study\.db: cannot be read: trial 0 has no value"):
        directory.create("sqlite", is_maximised=True)


@pytest.mark.parametrize(
    ("recorded", "is_kept"),
    [
        (b"seed=1\nlr=0.5\ninit.from=logs/runs/a\nresume=x\n", True),
        (b"lr=0.25\n", False),
        (b"seed=1\nresume=x\nlr=0.5\n", False),
        (b"", False),
        (b"lr=\xff", False),
    ],
)
def test_a_run_with_other_values_is_set_aside(recorded, is_kept, tmp_path):
    directory = StudyDirectory(tmp_path)
    params = {"lr": 0.5, "init.from": "latest"}
    assert directory.set_aside_other_run(0, params) is None
    directory.trial(0).mkdir(parents=True)
    (directory.trial(0) / "config.yaml").touch()
    (directory.trial(0) / "overrides.txt").write_bytes(recorded)
    reason = directory.set_aside_other_run(0, params)
    assert directory.trial(0).is_dir() == (reason is None) == is_kept
    assert (directory.trials / "0.attempt1").is_dir() != is_kept
    assert is_kept or str(directory.trial(0)) in reason


def test_a_sampler_depends_only_on_seed_and_trial_number():
    def draw(spec, number):
        study = optuna.create_study(sampler=build_sampler(spec, number))
        return study.ask().suggest_float("x", 0, 1)

    assert draw(RANDOM, 7) == draw(RANDOM, 7)
    assert len({draw(RANDOM, number) for number in range(20)}) == 20
    assert draw({**RANDOM, "seed": 4}, 7) != draw(RANDOM, 7)


def test_samplers_and_pruners_must_be_from_optuna():
    with pytest.raises(InputError, match=r"sampler\._target_=os\.system: only names under"):
        build_sampler({"_target_": "os.system"}, 0)
    with pytest.raises(InputError, match=r"unknown key pruner\.warmup"):
        build_pruner({**MEDIAN, "warmup": 1})


def test_a_missing_optuna_is_reported_with_the_extra(monkeypatch):
    monkeypatch.setattr("vgg_lit.system.extras.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "vgg_lit\[tune\]"'):
        require_optuna()


@pytest.mark.parametrize("how", ["missing", "empty", "zeros", "text", "without a study"])
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_that_lost_its_storage_does_not_start_again(kind, how, tmp_path):
    for name in ("study", "other"):
        (tmp_path / name).mkdir()
    directory = StudyDirectory(tmp_path / "study")
    directory.create(kind, is_maximised=True)
    directory.config_file.write_text("objective: val/acc\n")
    directory.create(kind, is_maximised=True)
    file = tmp_path / "study" / STORAGE_FILES[kind]
    if how == "missing":
        file.unlink()
    elif how == "without a study":
        file.unlink()
        StudyDirectory(tmp_path / "other").create(kind, is_maximised=True)
        optuna.delete_study(
            study_name="other",
            storage=StudyDirectory(tmp_path / "other")._storage(
                tmp_path / "other" / STORAGE_FILES[kind]
            ),
        )
        (tmp_path / "other" / STORAGE_FILES[kind]).rename(file)
    else:
        file.write_bytes({"empty": b"", "zeros": bytes(9000), "text": b"x" * 9000}[how])
    with pytest.raises(InputError, match=rf"{file.name}: (has no study|cannot be read)") as error:
        directory.create(kind, is_maximised=True)
    assert "\n" not in str(error.value)


def test_a_renamed_study_is_not_created_again(tmp_path):
    (tmp_path / "old").mkdir()
    StudyDirectory(tmp_path / "old").create("sqlite", is_maximised=True)
    (tmp_path / "old").rename(tmp_path / "new")
    StudyDirectory(tmp_path / "new").create("sqlite", is_maximised=True)
    assert StudyDirectory(tmp_path / "new").open(NONE).study_name == "old"


@pytest.mark.parametrize("directions", [["maximize", "minimize"], ["minimize"]])
def test_a_study_with_another_objective_is_one_line(directions, tmp_path):
    study = StudyDirectory(tmp_path / "study")
    study.path.mkdir()
    optuna.create_study(storage=f"sqlite:///{study.path}/study.db", directions=directions)
    with study.lock(), pytest.raises(InputError, match="is not a study with one objective to max"):
        study.create("sqlite", is_maximised=True)
