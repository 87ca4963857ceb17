"""The data module of a `data` group with a class of the user."""

import lightning as L
import pytest

from vgg_lit.data import custom_building
from vgg_lit.data.custom_building import adapt
from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.errors import ConfigError, InputError


class Taking(L.LightningDataModule):
    def __init__(self, batch_size=4, seed=None, num_classes=None):
        super().__init__()
        self.batch_size, self.seed, self.num_classes = batch_size, seed, num_classes


class Plain(L.LightningDataModule):
    def __init__(self, folder="x"):
        super().__init__()
        self.folder = folder


class NoModule:
    pass


@pytest.fixture
def build(monkeypatch):
    """`build(Plain, folder="y")`: the adapted data module; targets of tests are trusted."""

    def build(kind, **group):
        monkeypatch.setattr(custom_building, "locate", lambda name, key: kind)
        monkeypatch.setattr(custom_building, "instantiate", lambda spec, key: made(kind, spec))
        return adapt({"_target_": f"mine.{kind.__name__}", **group})

    def made(kind, spec):
        return kind(**{name: value for name, value in spec.items() if name != "_target_"})

    return build


def test_a_class_receives_the_keys_that_it_takes(build):
    data = build(Taking, batch_size=8, seed=3, num_classes=2, in_channels=1, root="/x", augment={})
    assert isinstance(data, CustomDataModule)
    assert (data.module.batch_size, data.module.seed, data.module.num_classes) == (8, 3, 2)


def test_null_is_not_passed_so_that_the_default_of_the_class_holds(build):
    assert build(Taking, batch_size=None, num_classes=None).module.batch_size == 4


def test_keys_of_ours_are_left_out_for_a_class_without_them(build):
    data = build(Plain, folder="y", batch_size=8, seed=3, num_classes=2, augment=None, root=None)
    assert data.module.folder == "y"
    assert data.seed == 3


def test_other_keys_are_passed_also_if_they_are_wrong(build):
    with pytest.raises(TypeError, match="sise"):
        build(Plain, sise=3)


def test_another_class_is_refused(build):
    with pytest.raises(ConfigError, match=r"data\._target_=mine\.NoModule: is not a Lightning"):
        build(NoModule)


@pytest.mark.parametrize("target", ["os.system", "torch.nothing", 3])
def test_targets_are_checked(target):
    with pytest.raises(InputError, match=f"data._target_={target}"):
        adapt({"_target_": target})
