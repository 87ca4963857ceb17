"""Options of groups have the names of the command line or of the files in conf/."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.reports.comparison import Comparison
from vgg_lit.reports.option_names import undetermined
from vgg_lit.runs import Run


@pytest.fixture
def differences(tmp_path, compose):
    """`differences([], ["seed=1"])`: the differing settings of runs with these command lines."""

    def differences(*command_lines):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        runs = []
        for number, typed in enumerate(command_lines):
            config = OmegaConf.to_container(compose(*typed), resolve=True)
            runs.append(Run.start(folder / str(number), config, typed))
        return Comparison(runs).differences

    return differences


@pytest.mark.parametrize(
    ("overrides", "group", "names"),
    [
        ([["model=resnet18"], []], "model", ["resnet18", "vgg13_bn_slim"]),
        ([["model=resnet18"], ["model.width=0.5"]], "model", ["resnet18", "vgg13_bn"]),
        ([["model=resnet18"], ["model=vgg13_bn_slim"]], "model", ["resnet18", "vgg13_bn_slim"]),
        ([["augment=mixup"], []], "augment", ["mixup", "flip_shift"]),
        ([["augment=none"], ["augment.padding=3"]], "augment", ["none", "FlipCrop"]),
        ([["optimizer=adam"], ["optimizer.lr=0.3"]], "optimizer", ["adam", "sgd"]),
        ([["augment=mixup"], ["augment=cutmix"]], "augment", ["mixup", "cutmix"]),
        ([["augment=flip_crop"], ["augment=flip_shift"]], "augment", ["flip_crop", "flip_shift"]),
    ],
)
def test_names_are_typed_or_those_of_an_option(overrides, group, names, differences):
    assert list(differences(*overrides)[group].values()) == names


def test_a_group_is_added_only_if_it_was_typed_for_all_runs(differences):
    found = differences([], ["model.width=0.0625"])
    assert list(found) == ["model.width"]
    found = differences(["model=vgg11_bn"], ["model=vgg13_bn"])
    assert list(found) == ["model.variant"]


def test_runs_with_equal_settings_have_one_name(differences):
    """A callback without an effect must not split a group."""
    found = differences(["callbacks=default"], ["callbacks=[default,layer_times]"])
    assert "callbacks" not in found
    typed, default = ["augment=none"], ["augment=flip_shift"]
    found = differences(typed, default, ["seed=1"])
    assert found["augment"]["2"] == "flip_shift"


def test_seeds_on_the_command_line_are_numbers(differences):
    assert differences(["seed=2"], ["seed=10"])["seed"] == {"0": 2, "1": 10}


def test_one_name_of_several_classes_is_not_used(make_run):
    runs = [make_run("a", {}, "optimizer=adam"), make_run("b", {}, "optimizer=sgd")]
    (runs[1].path / "overrides.txt").write_text("optimizer=adam\n")
    assert list(Comparison(runs).differences["optimizer"].values()) == ["Adam", "SGD"]


def test_keys_that_a_section_determines_are_left_out():
    found = {"o": {"a": 1, "b": 2, "c": 1}, "o.lr": {"a": 3, "b": 3, "c": 3}}
    found["o.decay"] = {"a": 1, "b": 1, "c": 2}
    assert undetermined(found, found) == ["o", "o.decay"]
    assert undetermined(["o.lr"], found) == ["o.lr"]
    assert undetermined(found, found, kept=["o.lr"]) == list(found)
