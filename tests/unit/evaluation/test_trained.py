"""Data and views that do not fit a trained network are refused before it is loaded."""

import shutil
from types import SimpleNamespace

import pytest

from vgg_lit.errors import InputError
from vgg_lit.evaluation.trained import find_trained
from vgg_lit.evaluation.views import Views
from vgg_lit.runs import Run


@pytest.fixture
def trained(tiny_run):
    (one,) = find_trained([tiny_run], "best")
    return one


def test_a_checkpoint_is_selected_by_name(trained, tiny_run):
    assert trained.checkpoint == tiny_run.checkpoints / "best.ckpt"
    assert trained.preprocessing.image_size == 32
    assert len(trained.hyperparameters["classes"]) == 10


def test_matching_data_are_accepted(trained):
    trained.check_views([Views(), Views(None, (32,)), Views(5, (36,))])
    trained.check_source(
        SimpleNamespace(
            name="more", classes=tuple(trained.hyperparameters["classes"]), in_channels=1
        )
    )
    trained.check_validation(trained.run.config["data"])


def test_a_view_that_is_too_small_is_refused(trained):
    with pytest.raises(InputError, match="31 is too small for the network; at least 32"):
        trained.check_views([Views(), Views(None, (31,))])


def test_the_same_classes_in_another_order_are_refused(trained):
    classes = tuple(reversed(trained.hyperparameters["classes"]))
    with pytest.raises(InputError, match="names and order must be equal"):
        trained.check_source(SimpleNamespace(name="turned", classes=classes, in_channels=1))


def test_images_with_other_channels_are_refused(trained):
    classes = tuple(trained.hyperparameters["classes"])
    with pytest.raises(InputError, match="takes 1-channel images; data=colour has 3 channels"):
        trained.check_source(SimpleNamespace(name="colour", classes=classes, in_channels=3))


@pytest.mark.parametrize(("key", "value"), [("seed", 7), ("val_fraction", 0.25), ("folds", 5)])
def test_validation_images_from_the_training_set_are_refused(trained, key, value):
    data = trained.run.config["data"] | {key: value}
    with pytest.raises(InputError, match=rf"data\.{key}=[\w.]+ instead of {value}"):
        trained.check_validation(data)


@pytest.mark.parametrize("options", [{"seed": 7}, {"val_fraction": 0.25}, {"val_fraction": 0}])
def test_an_official_validation_split_is_the_same_for_all_seeds(trained, options):
    trained.check_validation(trained.run.config["data"] | options, is_official=True)
    with pytest.raises(InputError, match=r"data\.folds=null instead of 5"):
        trained.check_validation(trained.run.config["data"] | {"folds": 5}, is_official=True)


def test_a_config_without_data_is_one_line(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text("seed: 0\n")
    with pytest.raises(InputError, match=r"config\.yaml: has no data$"):
        find_trained([Run(tmp_path / "run")], "best")
