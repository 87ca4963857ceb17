"""The settings of each option in conf/ are recognised."""

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.group_options import config_folder
from vgg_lit.config.known_options import _options, known_option, options_with, selecting

UNSET = {"vgg", "timm", "distillation"}
"""Options with a setting that has no default."""


@pytest.mark.parametrize("group", ["model", "augment", "loss", "optimizer", "scheduler"])
def test_each_option_is_found_by_its_settings(group, compose):
    folder = config_folder() / group
    for name in {file.stem for file in folder.glob("*.yaml")} - UNSET:
        section = OmegaConf.to_container(compose(f"{group}={name}"), resolve=True)[group]
        assert known_option(group, section) == name


def test_a_file_that_cannot_be_read_is_no_option(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "good.yaml").write_text("defaults: [bad, missing]\n_target_: x.Y\nsize: ???\n")
    assert _options(tmp_path)["good"] == {"_target_": "x.Y"}
    assert known_option("optimizer", None) is None


@pytest.mark.parametrize(
    ("group", "key", "options"),
    [
        ("scheduler", "patience", ["plateau"]),
        ("callbacks", "ema.decay", ["ema"]),
        ("callbacks", "decay", ["ema"]),
        ("callbacks", "swa.decay", []),
        ("loss", "teacher", ["distillation"]),
        ("logger", "project", ["comet", "wandb"]),
        ("nothing", "x", []),
    ],
)
def test_options_are_found_by_a_setting(group, key, options):
    assert options_with(group, key) == options


def test_the_overrides_of_options_are_joined():
    assert selecting("loss", "gamma") == "loss=focal"
    assert selecting("logger", "project") == "logger=comet or logger=wandb"
    assert selecting("callbacks", "ema.decay") == "callbacks=[default,ema]"
    assert selecting("callbacks", "checkpointing.keep") == "callbacks=[default]"
    assert selecting("optimizer", "lr").count(" or ") == 3
    assert not selecting("loss", "zzz")


def test_a_base_of_options_is_no_option():
    assert "base" not in options_with("data", "val_fraction")
