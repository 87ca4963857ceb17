"""Settings that follow another one change with it, as the interpolations in `conf/` define."""

import re

import pytest
from omegaconf import OmegaConf

from vgg_lit.config.differences import flattened
from vgg_lit.config.followers import FOLLOWERS, follow
from vgg_lit.config.group_options import config_folder
from vgg_lit.config.locations import PLACE_SETTINGS
from vgg_lit.system.small_files import read_yaml

PADDED = {"_target_": "vgg_lit.data.FlipCrop", "padding": 1, "flip": True}


def test_followers_are_those_of_the_config_files():
    found = {}
    for group in ("model", "data", "augment", "loss", "optimizer", "scheduler", "callbacks"):
        for file in (config_folder() / group).glob("*.yaml"):
            for key, value in flattened({group: read_yaml(file)}):
                match = re.fullmatch(r"\$\{([\w.]+)\}", str(value))
                if match and match[1] not in PLACE_SETTINGS:
                    found.setdefault(match[1], set()).add(key)
    assert {key: set(followers) for key, followers in FOLLOWERS.items()} == found


def test_a_follower_is_above_its_own_followers():
    done = []
    for key, followers in FOLLOWERS.items():
        assert not any(f"{name}.".startswith(f"{before}.") for name in followers for before in done)
        done.append(key)


def followed(changes, **before):
    recorded = OmegaConf.create({"augment": PADDED, "data": {"augment": PADDED}, **before})
    after = recorded.copy()
    for key, value in changes.items():
        OmegaConf.update(after, key, value, force_add=True)
    follow(recorded, after, list(changes))
    return OmegaConf.to_container(after)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"augment.padding": 2}, {"padding": 2, "flip": True}),
        ({"augment.new": 2}, {"padding": 1, "flip": True, "new": 2}),
        ({"augment.padding": 2, "data.augment.flip": False}, {"padding": 2, "flip": False}),
        ({"augment.padding": 2, "data.augment.padding": 3}, {"padding": 3, "flip": True}),
    ],
)
def test_the_augmentation_of_the_data_follows(changes, expected):
    config = followed(changes)
    assert config["data"]["augment"] == {"_target_": PADDED["_target_"], **expected}
    assert config["augment"]["flip"]


def test_a_value_of_its_own_is_kept():
    config = followed({"augment.padding": 2}, data={"augment": {**PADDED, "padding": 5}})
    assert config["data"]["augment"]["padding"] == 5


def test_the_side_of_the_images_is_followed_in_all_groups():
    data = {"image_size": 32, "source": {"size": 32}, "augment": {"jitter": {"image_size": 32}}}
    sections = {"data": data, "augment": data["augment"], "model": {"image_size": 32}}
    config = followed({"data.image_size": 64}, **sections)
    assert [value for _, value in flattened(config)] == [64] * 5


def test_settings_that_the_run_does_not_have_are_not_added():
    config = followed({"data.fit": "pad"}, data={"fit": "crop", "source": {}})
    assert config["data"] == {"fit": "pad", "source": {}}
