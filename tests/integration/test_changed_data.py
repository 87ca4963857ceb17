"""Folders that change after a training: every change is named, and no trained image is measured."""

import hashlib
import json
import shutil

import pytest
import torch
from folder_options import folder_options
from PIL import Image

from vgg_lit.data.data_record import read_data_record
from vgg_lit.errors import InputError
from vgg_lit.runs import Run
from vgg_lit.system.claims import release
from vgg_lit.tables import read_csv
from vgg_lit.training.resume_auto import find_resumed

pytestmark = pytest.mark.usefixtures("image_cache")

CLASSES = ("cat", "dog")


def paint(path, seed, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    draws = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 128, (12, 12, 3), generator=draws) + 120 * label
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Sixty pictures in two class folders, the dogs lighter."""
    folder = tmp_path_factory.mktemp("images") / "pets"
    for label, name in enumerate(CLASSES):
        for index in range(30):
            paint(folder / name / f"{index:02}.png", 100 * label + index, label)
    return folder


def options(folder, *more):
    size = ("data.image_size=32", "trainer.max_epochs=1")
    return folder_options(folder, *size, *more)


@pytest.fixture(scope="module")
def trained(train, original, tmp_path_factory):
    """A run of one epoch, and its folder. Read only."""
    return train(tmp_path_factory.mktemp("runs") / "run", *options(original))


@pytest.fixture
def pets(original, tmp_path):
    """A copy of the folder, to be changed."""
    return shutil.copytree(original, tmp_path / "pets")


@pytest.fixture
def moved(trained, pets, tmp_path):
    """A copy of the run, whose data are the copied folder."""
    run = Run(shutil.copytree(trained.path, tmp_path / "run"))
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace(trained.config["data"]["root"], str(pets)))
    return run


def recorded(run, *splits):
    return [image for image in read_data_record(run.data_file).images if image.split in splits]


def one(run, split, label=0):
    """The path of an image of a split and a class."""
    return next(image.path for image in recorded(run, split) if image.label == label)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_record_has_every_image_with_its_digest_and_split(trained, original):
    record = read_data_record(trained.data_file)
    files = sorted(path.relative_to(original).as_posix() for path in original.rglob("*.png"))
    assert sorted(image.path for image in record.images) == files
    assert record.location == str(original)
    for image in record.images:
        assert image.digest == digest(original / image.path)
        assert record.classes[image.label] == image.path.split("/")[0]
    assert {image.split for image in record.images} == {"train", "val", "test"}
    assert not record.count_copies()


def test_added_images_move_no_others(train, trained, pets, tmp_path):
    for index in range(40):
        paint(pets / "cat" / f"000_{index}.png", 1000 + index, 0)
    again = train(tmp_path / "again", *options(pets))
    before = {image.path: image.split for image in read_data_record(trained.data_file).images}
    after = {image.path: image.split for image in read_data_record(again.data_file).images}
    assert {path: after[path] for path in before} == before
    assert set(after.values()) == {"train", "val", "test"}


def test_another_seed_draws_other_validation_images_and_the_same_test_images(
    train, trained, original, tmp_path
):
    other = train(tmp_path / "run", *options(original, "seed=1"))
    assert recorded(other, "test") == recorded(trained, "test")
    assert recorded(other, "val") != recorded(trained, "val")


def remove(pets, run):
    path = one(run, "val")
    (pets / path).unlink()
    return f"1 removed ({path})"


def add(pets, run):
    paint(pets / "cat" / "000_new.png", 999, 0)
    return "1 added (cat/000_new.png)"


def rename(pets, run):
    path = one(run, "train")
    (pets / path).rename(pets / "cat" / "renamed.png")
    return f"1 renamed ({path} -> cat/renamed.png)"


def overwrite(pets, run):
    path = one(run, "train", label=1)
    paint(pets / path, 999, 1)
    return f"1 with other content ({path})"


def swap(pets, run):
    first, second = one(run, "train"), one(run, "val", label=1)
    (pets / first).rename(pets / "kept")
    (pets / second).rename(pets / first)
    (pets / "kept").rename(pets / second)
    return f"2 relabelled ({second} -> {first}: dog -> cat, {first} -> {second}: cat -> dog)"


def relabel(pets, run):
    path = one(run, "test")
    (pets / path).rename(pets / "dog" / "was_cat.png")
    return f"1 relabelled ({path} -> dog/was_cat.png: cat -> dog)"


def rename_class(pets, run):
    (pets / "dog").rename(pets / "wolf")
    return "1 classes removed (dog), 1 classes added (wolf)"


def copy(pets, run):
    shutil.copy(pets / one(run, "train"), pets / "cat" / "copy.png")
    return "1 added (cat/copy.png)"


def edit_a_pixel(pets, run):
    path = one(run, "test")
    with Image.open(pets / path) as image:
        image.putpixel((0, 0), (1, 2, 3))
        image.save(pets / path)
    return f"1 with other content ({path})"


def exchange_splits(pets, run):
    first, second = one(run, "train"), one(run, "test")
    (pets / first).rename(pets / "kept")
    (pets / second).rename(pets / first)
    (pets / "kept").rename(pets / second)
    low, high = sorted((first, second))
    return f"2 renamed ({high} -> {low}, {low} -> {high})"


CHANGES = (
    *(remove, add, rename, overwrite, swap, relabel, rename_class, copy, edit_a_pixel),
    exchange_splits,
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_set_is_refused_by_the_names_of_its_changes(resume, moved, pets, change):
    named = change(pets, moved)
    before = moved.data_file.read_bytes()
    with pytest.raises(InputError, match="accept_data_changes=true") as caught:
        resume(moved, "trainer.max_epochs=2")
    assert named in str(caught.value)
    assert moved.data_file.read_bytes() == before
    assert len(moved.epochs()) == 1


@pytest.mark.parametrize("change", [swap, exchange_splits, copy])
def test_an_accepted_change_is_recorded_and_moves_no_trained_image(resume, moved, pets, change):
    change(pets, moved)
    trained = {image.digest for image in recorded(moved, "train")}
    resume(moved, "trainer.max_epochs=2", "accept_data_changes=true")
    assert len(moved.epochs()) == 2
    assert not moved.config["accept_data_changes"]
    (entry,) = json.loads(moved.data_file.read_text())["accepted"]
    assert entry["changes"]
    assert not {image.digest for image in recorded(moved, "val", "test")} & trained
    assert trained <= read_data_record(moved.data_file).trained
    if change is copy:  # the changed set is now the set of the run
        resume(moved, "trainer.max_epochs=3")
        assert len(moved.epochs()) == 3


def test_touched_files_are_not_changes(resume, moved, pets):
    for path in pets.rglob("*.png"):
        path.touch()
    resume(moved, "trainer.max_epochs=2")
    assert len(moved.epochs()) == 2


def test_a_resumed_run_keeps_its_splits(resume, moved):
    with pytest.raises(InputError, match=r"val_fraction=0.5: a resumed run keeps its splits"):
        resume(moved, "data.val_fraction=0.5", "trainer.max_epochs=2")


def test_a_broken_record_is_one_line(resume, moved):
    moved.data_file.write_text("{")
    with pytest.raises(InputError, match=r"data\.json: cannot be read"):
        resume(moved, "trainer.max_epochs=2")


def test_a_run_of_an_earlier_version_keeps_its_splits(train, resume, original, tmp_path):
    run = train(tmp_path / "run", *options(original, "data.splitting=stratified"))
    splits = read_data_record(run.data_file).images
    run.data_file.unlink()
    text = run.config_file.read_text()
    assert "  splitting: stratified\n" in text
    run.config_file.write_text(text.replace("  splitting: stratified\n", ""))
    resume(run, "trainer.max_epochs=2")
    assert read_data_record(run.data_file).images == splits


def measured(run, split):
    rows = read_csv(run.path / f"predictions_{split}.csv")
    return {row["image"] for row in rows}


def test_figures_of_a_changed_folder_have_no_trained_image(verb, moved, pets):
    base = (f"run={moved.path}", "accelerator=cpu")
    trained = {image.digest for image in recorded(moved, "train")}
    expected = {split: {i.path for i in recorded(moved, split)} for split in ("val", "test")}
    exchange_splits(pets, moved)
    copy(pets, moved)
    for index in range(20):
        paint(pets / "cat" / f"000_{index}.png", 1000 + index, 0)
    for split in ("val", "test"):
        done = verb("evaluate", *base, f"split={split}")
        assert done.code == 0, done.err
        assert "21 added" in done.out
        assert "2 renamed" in done.out
        found = measured(moved, split)
        assert len(found) == len(expected[split])
        assert not {digest(pets / path) for path in found} & trained
    done = verb("visualize", *base, "figures=[confusion]")
    assert done.code == 0, done.err
    assert "21 added" in done.out
    assert not {digest(pets / path) for path in measured(moved, "test")} & trained


@pytest.mark.parametrize(
    ("options", "count"), [((), 60 + 5), (("split=val", "data.val_fraction=0.5", "seed=7"), None)]
)
def test_another_folder_is_measured_without_trained_images(verb, moved, pets, options, count):
    trained = recorded(moved, "train")
    for index in range(5):
        paint(pets / "dog" / f"new{index}.png", 1000 + index, 1)
    other = ("data=image_folder", f"data.root={pets}", "data.source.num_workers=0")
    done = verb("evaluate", f"run={moved.path}", "accelerator=cpu", *other, *options)
    assert done.code == 0, done.err
    (file,) = moved.path.glob("evaluations/predictions_image_folder-pets-*.csv")
    found = {row["image"] for row in read_csv(file)}
    if count:
        assert len(found) == count - len(trained)
        assert f"all: {len(found)} images of {pets}" in done.out
        assert f"{len(trained)} images that were trained on" in done.out
    assert not {digest(pets / path) for path in found} & {image.digest for image in trained}


def test_a_moved_folder_is_found_by_one_setting(verb, resume, moved, pets, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "pets"
    elsewhere.parent.mkdir()
    pets.rename(elsewhere)
    base = (f"run={moved.path}", "accelerator=cpu")
    done = verb("evaluate", *base)
    assert done.code == 2
    assert "no such folder" in done.err
    for place in (f"data.root={elsewhere}", f"data_root={elsewhere.parent}"):
        done = verb("evaluate", *base, place)
        assert done.code == 0, done.err
        assert "changed" not in done.out
        done = verb("visualize", *base, "figures=[confusion]", place)
        assert done.code == 0, done.err
    done = verb("evaluate", *base, f"data_root={tmp_path / 'nowhere'}")
    assert done.code == 2
    assert "has no pets" in done.err
    resume(moved, "trainer.max_epochs=2", f"++data.root={elsewhere}")
    assert moved.config["data"]["source"]["root"] == str(elsewhere)


@pytest.mark.slow  # trains in a new process
def test_a_moved_folder_is_exported_and_reproduced_by_one_setting(verb, moved, pets, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "pets"
    elsewhere.parent.mkdir()
    pets.rename(elsewhere)
    place = f"data.root={elsewhere}"
    done = verb("export", f"run={moved.path}", "formats=[torch_export]", place)
    assert done.code == 0, done.err
    done = verb("reproduce", f"run={moved.path}", f"output={tmp_path / 'again'}")
    assert done.code == 2
    assert "no such folder" in done.err
    done = verb("reproduce", f"run={moved.path}", f"output={tmp_path / 'again'}", place)
    assert done.code == 0, done.err
    assert "bit-identical" in done.out


def test_automatic_resume_finds_the_run_of_the_same_images(moved, pets, tiny, tmp_path):
    moved.set_status("failed")
    elsewhere = shutil.copytree(pets, tmp_path / "same" / "pets")
    other = shutil.copytree(pets, tmp_path / "other" / "pets")
    (other / "cat" / "00.png").unlink()

    def found(folder):
        typed = [*tiny, *options(folder), f"hydra.run.dir={tmp_path / 'new'}"]
        return f"resume={moved.path}" in find_resumed([*typed, "resume=auto"])

    try:
        assert found(pets)
        assert found(elsewhere)
        assert not found(other)
    finally:
        release(moved.path)
