"""Checks of a study, and its creation."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.data.data_record import DataRecord, write_data_record
from vgg_lit.errors import InputError
from vgg_lit.tuning import creation
from vgg_lit.tuning.creation import check_study, create_study
from vgg_lit.tuning.space import SearchSpace
from vgg_lit.tuning.studies import StudyDirectory

pytest.importorskip("optuna", reason="needs the extra tune")

SPACE = {"optimizer.lr": "interval(0.01, 0.1)"}


@pytest.fixture
def checked(monkeypatch):
    """Leaves out the checks of the configs of trials, which take seconds."""
    monkeypatch.setattr(creation, "check_train", lambda plain, typed: None)


@pytest.mark.parametrize(
    ("overrides", "space", "message"),
    [
        (["resume=logs/x"], SPACE, "^resume=logs/x: resumes one run; to resume a study"),
        (["trainer.num_nodes=2"], SPACE, r"^trainer\.num_nodes=2: trials run on one machine"),
        (["objective=val/f1"], SPACE, "^objective=val/f1: allowed: val/acc"),
        (["data.val_fraction=0"], SPACE, "^objective=val/acc: needs a validation split"),
        (["optimizer.lr=0.1"], SPACE, r"^optimizer\.lr: has a fixed value and is searched"),
        (["find_lr=true"], SPACE, "^find_lr=true: cannot be combined with a search for"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_do_not_go_with_a_search_are_one_line(
    overrides, space, message, tune, checked
):
    settings, trials = tune(*overrides)
    with pytest.raises(InputError, match=message):
        check_study(settings, SearchSpace(space), trials)


@pytest.mark.parametrize(
    "overrides",
    [
        ["objective=train/loss", "data.val_fraction=0"],
        ["data.val_fraction=0", "data.folds=3", "data.fold=0"],
        ["metrics=confusion", "objective=val/confusion"],
        ["sampler=grid", "seed=3"],
    ],
    ids=lambda value: value[0],
)
def test_other_objectives_are_allowed(overrides, tune, checked):
    space = {"model.width": "0.5,1"} if "sampler=grid" in overrides else SPACE
    settings, trials = tune(*overrides)
    check_study(settings, SearchSpace(space), trials)


def test_each_trial_is_checked_with_the_values_of_the_space(tune, monkeypatch):
    seen = []
    monkeypatch.setattr(creation, "check_train", lambda plain, typed: seen.append(typed))
    settings, trials = tune("seed=3")
    check_study(settings, SearchSpace({"model.width": "0.5,1"}), trials)
    assert seen[0] == ["seed=3"]
    assert ["seed=3", "model.width=0.5"] in seen


def create(directory, tune, *overrides, space=SPACE):
    settings, trials = tune(*overrides)
    create_study(directory, settings, SearchSpace(space), trials)


def test_a_study_continues_with_the_same_settings_alone(tune, tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    create(directory, tune)
    record = OmegaConf.to_container(OmegaConf.load(directory.config_file))
    assert record["objective"] == "val/acc"
    assert record["space"] == SPACE
    assert "n_trials" not in record["settings"]
    before = directory.config_file.read_bytes()
    create(directory, tune, "n_trials=50", "sampler=random", "pruner=none")
    for overrides, space, named in (
        (["seed=1"], SPACE, r"seed=1 \(was 0\)"),
        ([], {"optimizer.lr": "interval(0, 1)"}, r"space\.optimizer\.lr=interval\(0, 1\) \(was "),
    ):
        with pytest.raises(InputError, match=f"holds a study with other settings: {named}"):
            create(directory, tune, *overrides, space=space)
    assert directory.config_file.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "objective: x",
        "objective: x\nspace: 3\nsettings: {}",
        "objective: val/acc\nspace: {}\nsettings: {data: 5}",
    ],
)
def test_a_damaged_record_is_one_line(text, tune, tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    directory.path.mkdir()
    directory.config_file.write_text(text)
    with pytest.raises(InputError, match=r"study\.yaml: ") as refused:
        create(directory, tune)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "is_folder"),
    [
        ("study.yaml", True),
        ("trials.csv", True),
        ("experiment/best.yaml", True),
        ("experiment", False),
        ("trials", False),
    ],
)
def test_a_name_that_is_not_free_is_one_line(name, is_folder, tune, tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    directory.path.mkdir()
    path = directory.path / name
    path.mkdir(parents=True) if is_folder else path.touch()
    with pytest.raises(InputError, match=f"{name}: is (not )?a f"):
        create(directory, tune)


def test_a_trial_with_a_setting_that_is_not_searched_is_refused(tune, tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    create(directory, tune)
    directory.open({"_target_": "optuna.pruners.NopPruner"}).ask().suggest_float("a b=(", 0, 1)
    with pytest.raises(InputError, match=r"study\.db: .* trial 0 has the setting 'a b=\('"):
        create(directory, tune)


def test_a_damaged_record_of_data_is_passed_over(tmp_path, capsys):
    directory = StudyDirectory(tmp_path / "study")
    for number, place in ((0, None), (1, "/a")):
        directory.trial(number).mkdir(parents=True)
        file = directory.trial(number) / "data.json"
        file.write_text("[]") if place is None else write_data_record(
            file, DataRecord("mine", place, ("bee", "cow"))
        )
    assert creation._data_record(directory).location == "/a"
    assert capsys.readouterr().err.startswith(
        f"warning: {directory.trial(0) / 'data.json'}: is not"
    )
    (directory.trial(1) / "data.json").unlink()
    same = {"data": {"root": str(tmp_path)}}
    assert creation._other_data(directory, same, same) == ""


def test_other_data_are_named(tmp_path):
    directory = StudyDirectory(tmp_path / "study")
    wanted = {"data": {"root": str(tmp_path / "b")}}
    other = creation._other_data(directory, {"data": {"root": str(tmp_path / "a")}}, wanted)
    assert other == str(tmp_path / "a")
    assert creation._other_data(directory, wanted, wanted) == ""
