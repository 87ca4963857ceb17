"""The data of a training: the config that they complete, and records of earlier trainings."""

from dataclasses import replace

import pytest
from image_groups import folder_group, write_folder, write_image

from vgg_lit.config.checks import to_plain
from vgg_lit.data.data_record import read_data_record
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.training.run_data import load_datamodule, record_data


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two classes of 12 images."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "root", 24)


def config(root, **data):
    open_values = {"num_classes": None, "in_channels": None, "image_size": 8}
    group = folder_group(root, **open_values, seed=0, splitting="stable")
    net = {"variant": [[4]], "head": "linear", "image_size": 8}
    return {
        "data": group | data,
        "model": {"_target_": "vgg_lit.models.build", **net},
        "loss": {"_target_": "vgg_lit.losses.cross_entropy", "class_weights": "auto"},
        "trainer": {"devices": 1, "accelerator": "cpu", "num_nodes": 1},
    }


def test_the_data_complete_the_config(root):
    found = config(root)
    datamodule = load_datamodule(found)
    assert (found["data"]["num_classes"], found["data"]["in_channels"]) == (2, 1)
    assert (found["model"]["num_classes"], found["model"]["in_channels"]) == (2, 1)
    counts = datamodule.class_sizes["train"]
    weighted = [n * w for n, w in zip(counts, found["loss"]["class_weights"], strict=True)]
    assert weighted == pytest.approx([weighted[0]] * 2)  # both classes count alike


def start(folder, settings, capsys=None):
    """A run with its record of the data."""
    loaded = {**settings}
    datamodule = load_datamodule(loaded)
    run = Run.start(folder, loaded, [])
    record_data(run, datamodule)
    return run


def test_a_resumed_run_keeps_its_splits(root, tmp_path):
    run = start(tmp_path / "run", config(root))
    before = read_data_record(run.data_file)
    assert len(before.images) == 24
    resumed = load_datamodule(config(root), run)
    record_data(run, resumed)
    assert read_data_record(run.data_file) == before
    assert {path for path, split in resumed.assigned.items() if split == "train"} == {
        image.path for image in before.images if image.split == "train"
    }


@pytest.mark.parametrize(("key", "value"), [("seed", 3), ("val_fraction", 0.5), ("train_size", 8)])
def test_other_splits_are_refused(key, value, root, tmp_path):
    run = start(tmp_path / "run", config(root))
    with pytest.raises(InputError, match=rf"^data\.{key}={value}: a resumed run keeps its splits"):
        load_datamodule(config(root, **{key: value}), run)


@pytest.fixture
def without_files(compose):
    """`without_files("data.seed=5")`: settings of a data set without image files."""
    return lambda *typed: to_plain(compose("data.train_size=64", "data.test_size=40", *typed))


@pytest.mark.parametrize(
    ("begun", "changed"),
    [
        ("data.val_fraction=0.1", "data.seed=5"),
        ("data.val_fraction=0.1", "data.val_fraction=0.2"),
        ("data.val_fraction=0.2", "data.val_fraction=0.1"),
        ("data.val_fraction=0", "data.val_fraction=0.1"),
        ("data.folds=5 data.fold=0", "data.fold=1"),
        ("data.folds=5 data.fold=0", "data.seed=5"),
        ("data.folds=5 data.fold=0", "data.folds=4"),
        ("data.val_fraction=0.1", "data.folds=4 data.fold=0"),
    ],
)
@pytest.mark.parametrize("is_recorded", [True, False])
def test_other_validation_images_are_refused_without_files(
    begun, changed, is_recorded, without_files, tmp_path
):
    run = start(tmp_path / "run", without_files(*begun.split()))
    if not is_recorded:
        run.data_file.unlink()  # as in a run of an earlier version
    key, value = changed.split()[0].split("=")
    with pytest.raises(InputError, match=rf"^{key}={value}: a resumed run keeps its splits, which"):
        load_datamodule(without_files(*begun.split(), *changed.split()), run)


@pytest.mark.parametrize(
    ("begun", "changed"),
    [
        ("data.val_fraction=0.2", "data.val_fraction=0"),
        ("data.val_fraction=0", "data.seed=5"),
        ("data.val_fraction=0.1", "data.train_size=32"),
    ],
)
def test_changes_that_validate_no_training_image_are_allowed(
    begun, changed, without_files, tmp_path
):
    run = start(tmp_path / "run", without_files(begun))
    before, after = (load_datamodule(without_files(begun, *more), run) for more in ((), (changed,)))
    trained = set(before.stored("train")[1].tolist())
    assert not trained.intersection(after.stored("val")[1].tolist())


def test_changed_images_are_refused_until_they_are_accepted(root, tmp_path, capsys):
    run = start(tmp_path / "run", config(root))
    before = read_data_record(run.data_file)
    write_image(root / "a/new.png", 99)
    with pytest.raises(
        InputError, match=r"1 added \(a/new\.png\); to train on it as it is now: acc"
    ):
        load_datamodule(config(root), run)
    accepting = {**config(root), "accept_data_changes": True}
    datamodule = load_datamodule(accepting, run)
    (run.path / "predictions_test.csv").touch()
    record_data(run, datamodule)
    assert not (run.path / "predictions_test.csv").exists()
    assert "1 added; " in capsys.readouterr().out
    after = read_data_record(run.data_file)
    assert len(after.images) == 25
    assert after.accepted[-1]["changes"] == {"added": ["a/new.png"]}
    assert before.trained <= after.trained


def test_copies_of_training_images_are_counted(root, tmp_path, capsys):
    for number in range(24):
        write_image(root / "ab"[number % 2] / f"{number:02}.png", 7)  # all alike
    run = start(tmp_path / "run", config(root))
    record = read_data_record(run.data_file)
    copies = record.count_copies()
    assert copies["val"] == sum(image.split == "val" for image in record.images) > 0
    assert f"{copies['val']:,} val" in capsys.readouterr().out


def test_a_data_module_of_the_user_is_not_recorded(tmp_path):
    run = Run.start(tmp_path / "run", {"seed": 0}, [])
    record_data(run, object())
    assert not run.data_file.exists()


def test_a_run_of_an_earlier_version_is_recorded_when_it_is_resumed(root, tmp_path):
    run = start(tmp_path / "run", config(root))
    record = read_data_record(run.data_file)
    run.data_file.unlink()
    record_data(run, load_datamodule(config(root), run))
    assert replace(read_data_record(run.data_file), location=None) == replace(record, location=None)
