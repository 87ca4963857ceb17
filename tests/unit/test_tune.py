"""The checks of `tune` before training, the record of a study, and its command line."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.tuning.space import split_arguments

optuna = pytest.importorskip("optuna", reason="needs the extra tune")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


BAD = [
    (["optimizer.lrr=interval(0,1)"], "unknown key optimizer.lrr; did you mean optimizer.lr?"),
    (["optimizer.lr=tag(log,interval(0,1))"], "with tag log, allowed: above 0"),
    (["optimizer.lr=choice(a,b)"], "optimizer.lr=a: should be a valid number"),
    (["seed=choice()"], "empty choice is not legal"),
    (
        ["model=vgg11,vgg99"],
        "model=vgg99: there is no such config; did you mean model=vgg19? allowed: ",
    ),
    (["n_trials=0"], "n_trials=0: should be greater than or equal to 1"),
    (["sampler=grid"], "an interval has no grid"),
    (["objective=test/acc"], "objective=test/acc: allowed: val/acc"),
]
MORE_BAD = [
    (["data.batch_size=interval(8,16)"], "data.batch_size=8.0: should be a valid integer"),
    (["n_jobs=0"], "n_jobs=0: should be greater than or equal to 1"),
    (["n_jobs=choice(1,2)"], "unknown key n_jobs"),
    (["space=nothing"], "space=nothing: there is no such config; allowed: "),
    (["space=none"], "space: has no setting to search"),
    (["sampler=best"], "sampler=best: there is no such config; allowed: "),
    (["storage=redis"], "storage=redis: should be 'sqlite' or 'journal'"),
    (["data.val_fraction=0"], "needs a validation split; data.val_fraction=0 leaves none"),
    (["optimizer.lr=0.1"], "optimizer.lr: has a fixed value and is searched"),
    (["find_lr=true"], "find_lr=true: cannot be combined with a search for optimizer.lr"),
    (["resume=logs/runs/a"], "resumes one run"),
    (["pruner.n_warmup=1"], "unknown key pruner.n_warmup"),
    (["trainer.max_epochs=0"], "trainer.max_epochs=0"),
]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*BAD, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE_BAD)],
)
def test_bad_input_is_one_line_and_leaves_no_study(arguments, message, verb, tmp_path):
    done = verb("tune", "name=first", *arguments)
    assert done.code == 2, done.err
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not list(tmp_path.glob("logs/tune/first"))


def test_a_bad_custom_space_is_one_line(verb, tmp_path):
    (tmp_path / "mine/space").mkdir(parents=True)
    (tmp_path / "mine/space/bad.yaml").write_text("optimizer.lr: tag(log, interval(0, 1))\n")
    done = verb("tune", "--config-dir", "mine", "space=bad")
    assert done.code == 2
    assert done.err.startswith("error: space.optimizer.lr=tag(log, interval(0, 1)): starts at 0")


def test_a_sweep_of_searches_is_refused(verb):
    done = verb("tune", "-m", "seed=0,1")
    assert done.code == 2
    assert done.err == "error: -m: a search starts its trials itself; give ranges without -m\n"


def test_ranges_are_read_from_the_command_line():
    assert split_arguments(["name=a", "model=vgg11,vgg13", "--config-dir", "mine"]) == (
        {"model": "vgg11,vgg13"},
        ["name=a", "space=none", "--config-dir", "mine"],
    )
    assert split_arguments(["--config-dir", "mine", "seed=range(2)", "model=choice()"]) == (
        {"seed": "range(2)", "model": "choice()"},
        ["--config-dir", "mine", "space=none"],
    )
    assert split_arguments(["space=network", "seed=range(3)"]) == (
        {"seed": "range(3)"},
        ["space=network"],
    )
    assert split_arguments(["--help"]) == ({}, ["--help"])


def test_ranges_of_paths_may_be_in_the_home_folder(verb, monkeypatch):
    spaces = []
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr("vgg_lit.tune.tune", lambda config, typed_space: spaces.append(typed_space))
    assert verb("tune", "data.root=~/a,~/b", "seed=range(2)").code == 0
    assert spaces == [{"data.root": "/home/me/a,/home/me/b", "seed": "range(2)"}]


@pytest.fixture
def unstarted(monkeypatch):
    """Creates studies but runs no trials."""
    monkeypatch.setattr("vgg_lit.tuning.search.Search.run", lambda self: None)
    monkeypatch.setattr("vgg_lit.tuning.search.Search.has_result", lambda self: True)
    monkeypatch.setattr("vgg_lit.tuning.study_report.report", lambda *arguments: None)


@pytest.mark.slow
def test_an_existing_study_refuses_other_settings(unstarted, verb, tmp_path):
    assert verb("tune", "name=first").code == 0
    folder = tmp_path / "logs/tune/first"
    record = OmegaConf.to_container(OmegaConf.load(folder / "study.yaml"))
    assert record["objective"] == "val/acc"
    assert record["space"]["loss.label_smoothing"] == "interval(0, 0.2)"
    assert record["settings"]["test"] is False
    assert verb("tune", "name=first", "n_trials=50", "pruner=none", "sampler=random").code == 0
    for other, named in (
        ("model=vgg11", "model.variant=vgg11 (was vgg13_bn)"),
        ("seed=1", "seed=1 (was 0)"),
        ("label_smoothing=interval(0,0.5)", "space.optimizer.lr=null (was tag("),
        ("objective=val/loss", "objective=val/loss (was val/acc)"),
    ):
        done = verb("tune", "name=first", other)
        assert done.code == 2
        assert "holds a study with other settings" in done.err
        assert named in done.err
    assert (folder / "study.db").is_file()


@pytest.mark.slow
def test_studies_without_a_name_are_separate(unstarted, verb, tmp_path):
    for _ in range(2):
        assert verb("tune").code == 0
    assert len(list(tmp_path.glob("logs/tune/vgg13_bn_slim/*/study.db"))) == 2


def test_a_search_without_any_result_fails(unstarted, verb, monkeypatch):
    monkeypatch.setattr("vgg_lit.tuning.search.Search.has_result", lambda self: False)
    monkeypatch.setattr(
        "vgg_lit.tuning.search.Search.last_reason", lambda self: "trial 0: out of luck"
    )
    done = verb("tune", "name=first")
    assert done.code == 1
    assert done.err == "error: logs/tune/first: no trial was completed; trial 0: out of luck\n"
