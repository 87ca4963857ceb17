"""Networks are measured on no image that one of them was trained on."""

from types import SimpleNamespace

import numpy as np
import pytest
from image_groups import folder_group, write_folder, write_image

from vgg_lit.data.data_record import write_data_record
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.recording import record_of
from vgg_lit.data.sources import build_datamodule
from vgg_lit.errors import InputError
from vgg_lit.evaluation.measured_data import load_measured, load_run_data, trained_digests


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two classes of 10 images, not divided."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "root", 20)


def run_on(folder, data, is_recorded=True):
    """A run that was trained on a `data` group."""
    folder.mkdir()
    run = SimpleNamespace(path=folder, data_file=folder / "data.json", config={"data": data})
    datamodule = build_datamodule(data)
    datamodule.prepare_data()
    datamodule.setup()
    if is_recorded:
        write_data_record(run.data_file, record_of(datamodule))
    return SimpleNamespace(run=run, sizes=datamodule.sizes)


def test_the_recorded_test_images_are_measured(root, tmp_path):
    trained = run_on(tmp_path / "run", folder_group(root))
    measured = load_measured([trained], folder_group(root, seed=9), "test", is_own=True)
    assert (measured.split, measured.asked) == ("test", "test")
    count = trained.sizes["test"]
    assert measured.facts == {"data": f"image_folder, test: {count} images of {root}"}
    names = {image.path for image in record_of(loaded(measured, folder_group(root, seed=9))).images}
    assert len(names) == 20


def loaded(measured, data):
    """The data module with all splits."""
    datamodule = build_datamodule(data)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def test_changes_since_the_training_are_named(root, tmp_path):
    trained = run_on(tmp_path / "run", folder_group(root))
    write_image(root / "a/new.png", 99)
    measured = load_measured([trained], folder_group(root), "test", is_own=True)
    assert measured.facts["changed"] == "since the training: 1 added (a/new.png)"
    assert measured.datamodule.sizes["test"] == trained.sizes["test"]


def test_images_that_another_network_was_trained_on_are_left_out(root, tmp_path):
    first = run_on(tmp_path / "first", folder_group(root))
    second = run_on(tmp_path / "second", folder_group(root, seed=3))
    measured = load_measured([first, second], folder_group(root), "test", is_own=True)
    left_out = first.sizes["test"] - measured.datamodule.sizes["test"]
    removed = int(measured.facts.get("left out", "0").split()[0])
    assert removed >= left_out
    images, ids = measured.datamodule.stored("test")
    trained = trained_digests(second.run)
    present = measured.datamodule.source.present_images()
    assert not trained & {present[images.paths[i]].digest for i in ids.tolist()}


def test_a_split_that_another_network_was_trained_on_is_refused(root, tmp_path):
    first = run_on(tmp_path / "first", folder_group(root))
    second = run_on(tmp_path / "second", folder_group(root, val_fraction=0))
    with pytest.raises(
        InputError, match=r"^split=val: all images were trained on, so none is left"
    ):
        load_measured([first, second], folder_group(root), "val", is_own=True)


def test_a_split_without_images_is_refused(root, tmp_path):
    data = folder_group(root, val_fraction=0)
    trained = run_on(tmp_path / "run", data)
    with pytest.raises(InputError, match=r"^split=val: image_folder has no images of it"):
        load_measured([trained], data, "val", is_own=True)


def test_another_folder_is_measured_without_copies_of_training_images(root, tmp_path):
    trained = run_on(tmp_path / "run", folder_group(root))
    for number in (0, 1, 2, 3, 50, 51):  # four are copies
        write_image(tmp_path / "other" / "ab"[number % 2] / f"{number}.png", number)
    given = {"preprocessing": Preprocessing(1, 8, 8, (0.5,), (0.5,)), "image_size": 8}
    data = folder_group(tmp_path / "other", **given)
    measured = load_measured([trained], data, "all", is_own=False)
    known = trained_digests(trained.run)
    files = measured.datamodule.source.present_images().values()
    expected = sum(file.digest not in known for file in files)
    assert measured.datamodule.sizes == {"test": expected}
    assert measured.split == "test"
    assert measured.facts["left out"] == f"{6 - expected} images that were trained on"


def test_images_of_an_earlier_version_are_drawn_again(root, tmp_path):
    old = run_on(tmp_path / "old", folder_group(root), is_recorded=False)
    new = run_on(tmp_path / "new", folder_group(root))
    assert trained_digests(old.run) == trained_digests(new.run)
    root.rename(tmp_path / "gone")
    assert trained_digests(old.run) == frozenset()


@pytest.mark.parametrize(
    "data",
    [
        {"_target_": "mine.Data", "batch_size": 4},
        {"_target_": "vgg_lit.ImageDataModule", "source": {"_target_": "vgg_lit.data.Nothing"}},
        {
            "_target_": "vgg_lit.ImageDataModule",
            "source": {"_target_": "vgg_lit.data.FashionMNISTSample"},
        },
    ],
    ids=["a data module of the user", "an unknown source", "a set without files"],
)
def test_other_runs_have_no_digests(data, tmp_path):
    run = SimpleNamespace(data_file=tmp_path / "data.json", config={"data": data})
    assert trained_digests(run) == frozenset()


def test_a_set_without_files_that_has_changed_is_refused_unless_it_is_tested(root, tmp_path):
    def write_set(shift):
        draws = np.random.default_rng(0)
        content = {}
        for split in ("train", "test"):
            images = draws.integers(0, 200, (8, 8, 8), dtype=np.uint8)
            content[f"{split}_images"] = images + np.uint8(shift)
            content[f"{split}_labels"] = np.arange(8)[:, None] % 2
        np.savez(tmp_path / "x.npz", **content)

    write_set(0)
    source = {"_target_": "vgg_lit.data.NpzImages", "root": str(tmp_path / "x.npz")}
    data = {**folder_group(root), "source": source}
    trained = run_on(tmp_path / "run", data)
    write_set(1)
    with pytest.raises(InputError, match=r"was trained on another data set: 2 splits with other"):
        load_run_data(trained.run, data)
    given = {"preprocessing": Preprocessing(3, 8, 8, (0.5,) * 3, (0.5,) * 3), "image_size": 8}
    found = load_run_data(trained.run, {**data, **given}, "test")
    assert str(found.changes).startswith("1 splits with other images (test: 8 -> 8")
