"""Evaluations of other images, checkpoints or options have other names."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.fashion_mnist import FashionMNISTSample
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.evaluation.evaluation_name import evaluation_name
from vgg_lit.evaluation.measured_data import MeasuredData
from vgg_lit.evaluation.trained import Trained


@pytest.fixture(scope="module")
def measured():
    data = ImageDataModule(FashionMNISTSample())
    data.setup("test")
    return MeasuredData(data, "test", "test", {})


def trained(file="runs/a/checkpoints/best.ckpt", step=94, run="runs/a"):
    place = SimpleNamespace(path=Path(run), checkpoints=Path(run) / "checkpoints")
    return Trained(place, Path(file), {}, None, step)


def name(measured, networks=None, is_own_data=True, precision=None, metrics=None):
    return evaluation_name(measured, networks or [trained()], is_own_data, precision, metrics)


def test_the_name_of_a_plain_evaluation_is_readable(measured):
    assert name(measured) == "fashion_mnist_sample_test_best-step94"
    assert name(measured, is_own_data=False) == name(measured)


def test_every_difference_has_another_name(measured):
    copied = trained("elsewhere/best.ckpt")
    names = [
        name(measured),
        name(measured, [trained(step=95)]),
        name(measured, [trained("runs/a/checkpoints/last.ckpt")]),
        name(measured, [copied]),
        name(measured, [trained(), trained(run="runs/b", file="runs/b/checkpoints/best.ckpt")]),
        name(measured, [trained(), copied]),
        name(measured, precision="bf16-mixed"),
        name(measured, metrics={}),
        name(measured, metrics={"f1": {"_target_": "x"}}),
        name(replace(measured, asked="all")),
    ]
    assert len(set(names)) == len(names)
    for one in names:
        assert re.fullmatch(r"[\w.-]+", one)


def test_some_images_of_a_set_have_a_digest_of_their_choice():
    names = set()
    for seed in (0, 1):
        data = ImageDataModule(FashionMNISTSample(), test_size=20, seed=seed)
        data.setup("test")
        chosen = MeasuredData(data, "test", "test", {})
        assert name(chosen, is_own_data=True) == "fashion_mnist_sample_test_best-step94"
        names.add(name(chosen, is_own_data=False))
    assert len(names) == 2
    assert all(re.fullmatch("fashion_mnist_sample-[0-9a-f]{8}_test_best-step94", n) for n in names)


def test_a_folder_has_a_digest_of_its_files(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    root = tmp_path / ("a/b \u65e5" + "x" * 60).replace("/", "_")
    for number in range(8):
        file = root / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), number).save(file)

    def of_folder():
        data = ImageDataModule(ImageFolder(root, in_channels=1, size=4, num_workers=0))
        data.prepare_data()
        data.setup("test")
        return name(MeasuredData(data, "test", "test", {}))

    before = of_folder()
    assert before == of_folder()
    assert "/" not in before
    assert len(before.encode()) < 200
    data_set = ImageFolder(root, in_channels=1, size=4, num_workers=0)
    data_set.prepare()
    changed = data_set.load("test").paths[0]
    Image.new("L", (4, 4), 99).save(root / changed)
    assert of_folder() != before


def test_a_data_module_of_the_user_has_its_name():
    data = SimpleNamespace(source=SimpleNamespace(name="My/Data"))
    assert name(MeasuredData(data, "test", "test", {})) == "My-Data_test_best-step94"
