"""Configs and commands of the trials of a study."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vgg_lit.errors import InputError

SEARCH = ("name=mine", "n_trials=3", "sampler=random")
SHARED = ("model=vgg11", 'tags=["it\'s"]', "trainer.max_epochs=2")


def test_trials_have_the_overrides_of_a_training_and_no_test(tune):
    _, trials = tune(*SEARCH, *SHARED)
    assert trials.shared == list(SHARED)
    assert {"name", "n_trials", "model", "tags"} <= trials.keys
    plain = trials.plain(["seed=7"])
    assert (plain["seed"], plain["test"], plain["trainer"]["max_epochs"]) == (7, False, 2)
    assert plain["model"]["variant"] == "vgg11"
    assert "n_trials" not in plain
    assert {"model", "data", "optimizer"} <= trials.groups
    with pytest.raises(InputError, match=r"^unknown key optimizer\.rate; allowed in optimizer: "):
        trials.plain(["optimizer.rate=0.1"])


def test_the_command_of_a_trial_names_its_directory(tune):
    _, trials = tune(*SEARCH, *SHARED, "trusted_targets=[mine]")
    place = Path("logs/it's a study/0")
    command = trials.command(place, ["seed=7"])
    assert command[1:3] == ["-m", "vgg_lit.train"]
    start = next(n for n, word in enumerate(command) if "=" in word)
    parsed = OverridesParser.create().parse_overrides(command[start:])
    found = {override.key_or_group: override.value() for override in parsed}
    assert found["hydra.run.dir"] == str(place)
    assert (found["seed"], found["test"], found["model"]) == (7, False, "vgg11")
    assert found["tags"] == ["it's"]
    resumed = OverridesParser.create().parse_overrides(trials.command(place, None)[start:])
    assert {o.key_or_group: o.value() for o in resumed} == {
        "resume": str(place),
        "trusted_targets": ["mine"],
    }
