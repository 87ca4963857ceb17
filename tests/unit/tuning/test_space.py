"""The ranges of a search: parsing of Hydra's sweep syntax, and checks."""

import pytest

from vgg_lit.config.checks import ConfigError
from vgg_lit.tuning.space import SearchSpace, split_sweeps

optuna = pytest.importorskip("optuna", reason="needs the extra tune")
Choice = optuna.distributions.CategoricalDistribution
Float = optuna.distributions.FloatDistribution
Int = optuna.distributions.IntDistribution


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("tag(log, interval(1e-4, 1))", Float(1e-4, 1, log=True)),
        ("interval(0, 0.2)", Float(0, 0.2)),
        ("int(interval(1, 100))", Int(1, 100)),
        ("tag(log, int(interval(1, 100)))", Int(1, 100, log=True)),
        ("range(1, 10, step=2)", Int(1, 9, step=2)),
        ("range(3)", Int(0, 2)),
        ("range(9, 0, step=-3)", Int(3, 9, step=3)),
        ("range(0, 0.5, step=0.1)", Float(0, 0.4, step=0.1)),
        ("vgg11_bn,vgg13_bn", Choice(["vgg11_bn", "vgg13_bn"])),
        ("choice(0.125, 0.25)", Choice(["0.125", "0.25"])),
        ("choice(a, a, b)", Choice(["a", "b"])),
        ("shuffle(choice(a, b))", Choice(["a", "b"])),
        ("[64,128],[32]", Choice(["[64,128]", "[32]"])),
        ("'a b',null", Choice(["'a b'", "null"])),
    ],
)
def test_a_range_becomes_an_optuna_distribution(text, distribution):
    assert SearchSpace({"key": text}).distributions == {"key": distribution}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tag(log, interval(0, 1))", "starts at 0; with tag log, allowed: above 0"),
        ("tag(log, range(0, 5))", "starts at 0; with tag log, allowed: above 0"),
        ("tag(log, range(1, 9, step=2))", "needs step=1"),
        ("tag(lg, interval(1, 2))", "unknown tag lg; allowed: log"),
        ("tag(log, choice(a, b))", "tag log is not for choices"),
        ("choice()", "empty choice is not legal"),
        ("interval(1, 0)", "the start is greater than the end"),
        ("interval(0, inf)", "two finite ends"),
        ("interval(a, b)", "mismatch type"),
        ("interval(1)", "missing a required argument"),
        ("range(1, 1)", "is empty"),
        ("range(1, 5, step=0)", "is empty"),
        ("uniform(1, 2)", "Unknown function 'uniform'"),
        ("choice(1", "no viable alternative|missing|mismatched"),
        ("0.1", "is one value, not a range"),
        ("", "is one value, not a range"),
        (0.1, "is not a range"),
        ([1, 2], "is not a range"),
        (None, "is not a range"),
    ],
)
def test_an_invalid_range_is_one_line(text, message):
    with pytest.raises(ConfigError, match=message) as refused:
        SearchSpace({"optimizer.lr": text})
    assert str(refused.value).startswith("space.optimizer.lr=")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "key", ["name", "resume", "objective", "hydra.run.dir", "~model", "hydra/launcher"]
)
def test_settings_of_the_command_cannot_be_searched(key):
    with pytest.raises(ConfigError, match="cannot be searched"):
        SearchSpace({key: "a,b"})


def test_an_empty_space_is_refused_with_the_remedy():
    with pytest.raises(ConfigError, match=r"has no setting to search.*space=\.\.\."):
        SearchSpace({})


def test_nested_keys_are_flattened():
    space = SearchSpace({"optimizer": {"lr": "1,2", "momentum": "3,4"}, "seed": "range(2)"})
    assert list(space.distributions) == ["optimizer.lr", "optimizer.momentum", "seed"]


def test_values_become_overrides():
    space = SearchSpace({"optimizer.lr": "interval(0, 1)", "model": "vgg11,vgg13"})
    overrides = space.overrides({"model": "vgg13", "optimizer.lr": 1e-05})
    assert overrides == ["optimizer.lr=1e-05", "model=vgg13"]


def test_suggestions_are_within_the_space_and_repeatable():
    entries = {
        "rate": "tag(log, interval(1e-3, 1))",
        "size": "range(8, 33, step=8)",
        "model": "vgg11,vgg13",
    }
    space = SearchSpace(entries)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        trial = study.ask()
        params = space.suggest(trial)
        assert 1e-3 <= params["rate"] <= 1
        assert params["size"] in (8, 16, 24, 32)
        assert params["model"] in ("vgg11", "vgg13")
        assert space.suggest(trial) == params == trial.params


def test_both_ends_and_every_choice_are_checked():
    space = SearchSpace({"a": "interval(1, 2)", "b": "x,y,z"})
    seen = []
    space.check(lambda overrides: seen.append(tuple(overrides)))
    assert seen == [
        ("a=1.0", "b=x"),
        ("a=2.0", "b=x"),
        ("a=1.0", "b=y"),
        ("a=1.0", "b=z"),
    ]


def test_a_refused_end_names_its_setting():
    def check(overrides):
        if "b=z" in overrides:
            raise ConfigError("b=z: is not there")

    space = SearchSpace({"a": "interval(1, 2)", "b": "x,y,z"})
    with pytest.raises(ConfigError, match=r"^space\.b=x,y,z: b=z: is not there$"):
        space.check(check)


def test_of_the_first_values_the_invalid_one_is_named_with_a_way_out():
    def check(overrides):
        if any(text.startswith("b=") for text in overrides):
            raise ConfigError("unknown key b")

    space = SearchSpace({"a": "interval(1, 2)", "b": "interval(0, 1)"})
    with pytest.raises(
        ConfigError, match=r"^space\.b=interval\(0, 1\): unknown key b; give your own"
    ):
        space.check(check)


def test_a_grid_has_every_value():
    space = SearchSpace({"a": "range(1, 8, step=3)", "b": "x,y", "c": "range(0, 0.3, step=0.1)"})
    assert space.grid() == {"a": [1, 4, 7], "b": ["x", "y"], "c": [0.0, 0.1, 0.2]}


def test_an_interval_has_no_grid():
    with pytest.raises(ConfigError, match=r"^space\.a=interval\(1, 2\): an interval has no grid"):
        SearchSpace({"a": "interval(1, 2)"}).grid()


def test_ranges_are_distinguished_from_values():
    typed = [
        "model=vgg11,vgg13",
        "space.optimizer.lr=interval(0, 1)",
        "seed=1",
        "data.x=[1,2]",
        "=",
    ]
    sweeps, others = split_sweeps(typed)
    assert sweeps == {"model": "vgg11,vgg13", "optimizer.lr": "interval(0, 1)"}
    assert others == ["seed=1", "data.x=[1,2]", "="]
