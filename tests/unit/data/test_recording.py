"""The record of the data of a run, and data modules that take over its splits."""

from dataclasses import replace

import pytest
import torch
from image_groups import write_folder, write_image
from numbered_images import Numbers, WithValidation

from vgg_lit.data.data_record import SetDigest
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.recording import accepted, adopt, changed_sets, digest_of, hold_out, record_of
from vgg_lit.data.sources import ResidentImages
from vgg_lit.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of 10 images each, not divided into splits."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "root", 20)


def make(folder, **options):
    """A data module of a folder after `prepare_data`."""
    source = ImageFolder(folder, in_channels=1, size=8, num_workers=0)
    data = ImageDataModule(source, **{"batch_size": 2, "val_fraction": 0.2, **options})
    data.prepare_data()
    return data


def recorded(folder, **options):
    data = make(folder, **options)
    data.setup()
    return record_of(data)


def splits(record):
    return {image.path: image.split for image in record.images}


def test_each_image_is_recorded_with_its_split(folder):
    data = make(folder, train_size=6)
    data.setup()
    record = record_of(data)
    found = splits(record)
    assert len(found) == 20
    counts = {split: list(found.values()).count(split) for split in set(found.values())}
    assert counts["train"] == 6
    assert counts == {**data.sizes, "unused train": 20 - sum(data.sizes.values())}
    assert {image.path[0] == "b" for image in record.images if image.label} == {True}
    assert record.location == str(folder)
    assert len(record.trained) == 6


def test_an_adopted_record_gives_the_same_splits_whatever_the_settings(folder):
    record = recorded(folder, train_size=6)
    data = make(folder, seed=9)
    assert not adopt(data, record)
    data.setup()
    assert splits(record_of(data)) == {
        path: split if not split.startswith("unused") else "unused train"
        for path, split in splits(record).items()
    }


@pytest.mark.parametrize("admits", [False, True])
def test_new_images_get_a_split_only_if_asked(folder, admits):
    record = recorded(folder)
    write_image(folder / "a/new.png", 99)
    data = make(folder)
    changes = adopt(data, record, admits)
    assert str(changes) == "1 added (a/new.png)"
    assert ("a/new.png" in data.assigned) == admits
    if admits:
        assert data.assigned["a/new.png"] in ("train", "val", "test")


def test_a_new_image_does_not_enter_a_split_of_limited_size(folder):
    record = recorded(folder, train_size=6, test_size=2)
    for number in range(6):
        write_image(folder / f"a/new{number}.png", 100 + number)
    data = make(folder, train_size=6, test_size=2)
    adopt(data, record, admits=True)
    new = {data.assigned[f"a/new{number}.png"] for number in range(6)}
    assert new <= {"val", "unused train", "unused test"}


def test_images_that_were_trained_on_leave_the_other_splits(folder):
    record = recorded(folder)
    data = make(folder, seed=5)
    data.setup()
    own = {p for p, s in splits(record_of(data)).items() if s in ("val", "test")}
    trained = {p for p, s in splits(record).items() if s == "train"}
    fresh = make(folder, seed=5)
    assert hold_out(fresh, record.trained, "test") == len(own & trained) > 0
    fresh.setup()
    left = {p for p, s in splits(record_of(fresh)).items() if s in ("val", "test")}
    assert left == own - trained


def test_all_other_images_are_for_testing(folder):
    record = recorded(folder)
    data = make(folder, preprocessing=Preprocessing(1, 8, 8, (0.5,), (0.5,)), image_size=8)
    removed = hold_out(data, record.trained, "all")
    assert removed == len(record.trained)
    data.setup("test")
    assert data.sizes == {"test": 20 - removed}


@pytest.fixture
def divided(tmp_path, monkeypatch):
    """Two classes of 10, 4 and 4 images in train/, val/ and test/, all different."""
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    sizes = {"train": 20, "val": 8, "test": 8}
    for start, (split, count) in enumerate(sizes.items()):
        for number in range(count):
            level = 30 * start + number
            write_image(tmp_path / "root" / split / "ab"[number % 2] / f"{level:02}.png", level)
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, {"train": 20, "val": 8, "test": 8}),
        ({"folds": 5, "fold": 1}, {"train": 16, "val": 4, "test": 8}),
        ({"val_fraction": 0}, {"train": 20, "val": 0, "test": 8}),
    ],
    ids=["official", "folds", "none"],
)
def test_a_folder_with_a_validation_split_keeps_the_recorded_splits(divided, options, sizes):
    record = recorded(divided, **options)
    counts = {split: list(splits(record).values()).count(split) for split in sizes}
    assert counts == sizes
    again = make(divided, **options)
    assert not adopt(again, record)
    again.setup()
    assert again.sizes == sizes
    assert splits(record_of(again)) == splits(record)
    fresh = make(divided, **options)
    assert hold_out(fresh, frozenset(), "test") == 0
    fresh.setup()
    assert fresh.sizes == sizes
    write_image(divided / "val/a/new.png", 99)  # the folds are drawn from train/ alone
    changed = make(divided, **options)
    assert str(adopt(changed, record, admits=True)) == "1 added (val/a/new.png)"
    assert changed.assigned["val/a/new.png"] == ("unused val" if options else "val")
    changed.setup()
    assert changed.sizes == {**sizes, "val": sizes["val"] + (not options)}
    assert len(record_of(changed).images) == len(record.images) + 1


@pytest.mark.parametrize("options", [{}, {"folds": 4, "fold": 1}])
def test_validation_images_by_position_are_those_of_the_data_module(folder, options):
    data = make(folder, splitting="stratified", **options)
    data.setup()
    fresh = make(folder, splitting="stratified", **options)
    hold_out(fresh, frozenset(), "test")
    fresh.setup()
    assert splits(record_of(fresh)) == splits(record_of(data))


GIVEN = {"preprocessing": Preprocessing(1, 8, 8, (0.5,), (0.5,)), "image_size": 8}


@pytest.mark.parametrize(("split", "count"), [("test", 2), ("all", 6)])
def test_fewer_test_images_of_other_data_are_measured(folder, split, count):
    data = make(folder, test_size=count, **GIVEN)
    hold_out(data, frozenset(), split)
    data.setup("test")
    assert data.sizes == {"test": count}
    assert data.class_sizes["test"] == [count // 2, count // 2]
    if split == "test":  # the same as without comparing the images
        other = make(folder, test_size=count, **GIVEN)
        other.setup("test")
        first, second = (one.image_names("test", one.stored("test")[1]) for one in (data, other))
        assert first == second


def test_a_test_size_counts_images_that_were_not_trained_on(folder):
    trained = recorded(folder).trained
    left = 20 - len(trained)
    data = make(folder, test_size=left + 1, **GIVEN)
    with pytest.raises(InputError, match=f"test_size={left + 1}: only {left} images available"):
        hold_out(data, trained, "all")
    validated = make(folder, test_size=99)
    hold_out(validated, trained, "val")  # its test images are not measured


def test_the_record_gives_the_number_of_test_images(folder):
    record = recorded(folder)
    data = make(folder, test_size=1)
    adopt(data, record)
    hold_out(data, frozenset({"other"}), "test")
    data.setup()
    assert data.sizes["test"] > 1


def test_a_split_that_was_trained_on_is_refused(folder):
    data = make(folder)
    everything = frozenset(image.digest for image in data.source.present_images().values())
    for split in ("val", "test", "all"):
        with pytest.raises(InputError, match=rf"^split={split}: all images were trained on, so"):
            hold_out(make(folder), everything, split)


def test_images_of_former_trainings_stay_known(folder):
    first = recorded(folder)
    gone = next(image for image in first.images if image.split == "train")
    (folder / gone.path).unlink()
    data = make(folder)
    adopt(data, first)
    data.setup()
    second = record_of(data, first)
    assert second.trained_before == {gone.digest}
    assert second.trained == first.trained


def test_a_record_of_files_needs_files(folder):
    with pytest.raises(InputError, match="data=numbers: has no image files"):
        adopt(ImageDataModule(Numbers()), recorded(folder))


def numbered(kind=Numbers):
    data = ImageDataModule(kind(), batch_size=4)
    data.setup()
    return data


def test_a_set_without_files_is_recorded_and_compared_by_its_content():
    record = record_of(numbered(WithValidation))
    assert set(record.sets) == {"train", "val", "test"}
    assert record.sets["train"].images == 200
    assert not record.images
    assert not adopt(numbered(WithValidation), record)
    assert not changed_sets(numbered(WithValidation), record)

    class Changed(WithValidation):
        def load(self, split):
            images = super().load(split)
            if split == "val":
                return ResidentImages(images.images_NCHW[1:], images.labels_N[1:])
            return images

    changes = changed_sets(numbered(Changed), record)
    assert str(changes) == "1 splits with other images (val: 30 -> 29 images)"
    (noted,) = accepted(record, changes).accepted
    assert noted["changes"] == {"splits with other images": ["val: 30 -> 29 images"]}
    assert record.accepted == ()


def test_a_record_of_an_earlier_version_without_digests_is_not_compared():
    assert not changed_sets(numbered(), replace(record_of(numbered()), sets={}))


def test_a_digest_is_of_pixels_shape_and_labels():
    pixels = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    labels = torch.tensor([1])
    base = digest_of(ResidentImages(pixels, labels))
    assert base == SetDigest(1, digest_of(ResidentImages(pixels.clone(), labels)).digest)
    others = [
        ResidentImages(pixels + 1, labels),
        ResidentImages(pixels, labels + 1),
        ResidentImages(pixels.view(4, 1, 2, 2), labels.expand(4).contiguous()),
        ResidentImages(pixels, labels, is_decoded=True),
    ]
    assert base not in [digest_of(images) for images in others]
    turned = ResidentImages(pixels.transpose(2, 3), labels)  # not contiguous
    assert digest_of(turned) == digest_of(ResidentImages(turned.images_NCHW.contiguous(), labels))


def test_the_decoder_of_another_library_may_differ():
    pixels = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    labels = torch.tensor([1])
    first, second = (
        digest_of(ResidentImages(pixels + level, labels, is_decoded=True)) for level in (0, 1)
    )
    assert first == second
