"""A study's directory: storage, samplers, and the reports of a trial."""

import pytest

from vgg_lit.errors import InputError
from vgg_lit.tuning.studies import (
    STORAGE_FILES,
    StudyDirectory,
    TrialOfThisProcess,
    build_pruner,
    build_sampler,
    epochs_of,
    require_optuna,
)

optuna = pytest.importorskip("optuna", reason="needs the extra tune")

NONE = {"_target_": "optuna.pruners.NopPruner"}
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 2, "n_warmup_steps": 2}
RANDOM = {"_target_": "optuna.samplers.RandomSampler", "seed": 3}


@pytest.fixture(params=["sqlite", "journal"])
def directory(request, tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    with directory.lock():
        directory.create(request.param, is_maximised=True)
    return directory


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


def test_a_process_finds_its_trial_in_the_environment(monkeypatch):
    assert TrialOfThisProcess.from_environment() is None
    trial = TrialOfThisProcess("logs/tune/first", 7, MEDIAN)
    for name, value in trial.environment().items():
        monkeypatch.setenv(name, value)
    assert TrialOfThisProcess.from_environment() == trial


def test_a_trial_below_the_median_is_pruned_after_the_warm_up(directory):
    study = directory.open(MEDIAN)
    for value in (0.5, 0.6):
        trial = study.ask()
        for epoch in (1, 2, 3):
            trial.report(value, epoch)
        study.tell(trial, value)
    number = study.ask().number
    trial = TrialOfThisProcess(str(directory.path), number, MEDIAN)
    assert [trial.report(epoch, 0.4) for epoch in (1, 2)] == [False, True]
    assert epochs_of(study.trials[number]) == 2


def test_a_repeated_epoch_keeps_its_first_report(directory):
    study = directory.open(NONE)
    number = study.ask().number
    trial = TrialOfThisProcess(str(directory.path), number, NONE)
    trial.report(1, 0.4)
    assert not trial.report(1, 0.4)
    assert study.trials[number].intermediate_values == {1: 0.4}


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
