"""Configs composed in Python: the settings, the errors, and Hydra's state of an outer program."""

import errno
import os
import re

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from vgg_lit.config.composing import (
    compose,
    compose_with_hydra,
    errors_in_one_line,
    own_settings,
    typed_overrides,
)
from vgg_lit.config.hydra_versions import VERSION_BASE
from vgg_lit.errors import InputError, TrainingError


def test_texts_come_before_settings_by_name():
    typed = typed_overrides(["model=vgg16"], {"seed": 1, "name": "a b"})
    assert typed == ["model=vgg16", "seed=1", 'name="a b"']


def test_a_text_that_hydra_refuses_is_read_as_on_the_command_line():
    assert compose("name=größe", "tags=[é]").name == "größe"


@pytest.mark.parametrize(("override", "reason"), [(3, "is not an override"), ("-m", "is a flag")])
def test_a_number_and_a_flag_are_no_overrides(override, reason):
    with pytest.raises(InputError, match=reason):
        typed_overrides([override], {})


def test_a_config_has_hydras_settings_only_where_they_are_asked_for():
    config = compose_with_hydra("train", ["seed=3"])
    assert config.hydra.job.config_name == "train"
    assert own_settings(config) == compose(seed=3)
    assert "hydra" not in compose(seed=3)


def test_the_command_determines_the_settings():
    assert "images" in compose("run=a", "images=b", command="predict")
    with pytest.raises(InputError, match="images"):
        compose("images=b", command="train")


def test_sections_may_be_mappings():
    config = compose(optimizer={"lr": 0.02}, model={"head": {"hidden": [8]}})
    assert config.optimizer.lr == 0.02
    assert config.model.head == {"hidden": [8]}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "abc"}, r"^seed=abc: should be a valid integer"),
        ({"seed": [0, 1]}, r"^seed="),
        ({"optimizer.lr": -1}, r"optimizer\.lr"),
        ({"command": "eval"}, r"^unknown command 'eval'\. Did you mean 'evaluate'"),
        ({"command": "compare", "runs": 3}, r"^runs=3"),
    ],
)
def test_values_are_checked(settings, message):
    with pytest.raises(InputError, match=message):
        compose(**settings)


def test_an_error_is_one_line():
    with pytest.raises(InputError, match="model=vgg99") as error:
        compose("model=vgg99")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("override", ["seed=1", "model=vgg99"])
def test_the_hydra_of_an_outer_program_stays(tmp_path, override):
    (tmp_path / "outer.yaml").write_text("known: 1\n", encoding="utf-8")
    with hydra.initialize_config_dir(str(tmp_path), **VERSION_BASE):
        before = GlobalHydra.instance().hydra
        try:
            compose(override)
        except InputError:
            assert override == "model=vgg99"
        assert GlobalHydra.instance().hydra is before
        assert hydra.compose("outer").known == 1


@pytest.mark.parametrize("name", ["EISDIR", "EEXIST", "ENOTDIR", "ENOTEMPTY", "EINVAL", "ESTALE"])
def test_a_path_that_cannot_be_written_is_one_line(name):
    number = getattr(errno, name)
    with (
        pytest.raises(TrainingError, match=r"^runs/a: cannot be used: "),
        errors_in_one_line(),
    ):
        raise OSError(number, os.strerror(number), "runs/a")
    with pytest.raises(OSError, match=re.escape(os.strerror(number))), errors_in_one_line():
        raise OSError(number, os.strerror(number))  # of a socket


def test_an_error_of_omegaconf_is_one_line_with_the_key():
    config = OmegaConf.create({"a": "${missing}"})
    with pytest.raises(InputError, match="missing") as error, errors_in_one_line():
        config.a  # noqa: B018
    assert "\n" not in str(error.value)
