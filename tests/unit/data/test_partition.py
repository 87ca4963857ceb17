"""The splits of a data module: stratified, disjoint, and seeded."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numbered_images import Numbers, WithValidation, ids_of, make

from vgg_lit.data import partition
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.partition import draw_validation, training_and_validation
from vgg_lit.data.sources import ResidentImages
from vgg_lit.errors import InputError


def test_the_splits_are_stratified_disjoint_and_seeded():
    module = make(val_fraction=0.2)
    assert module.sizes == {"train": 160, "val": 40, "test": 50}
    train, val = module._ids["train"], module._ids["val"]
    assert sorted(train.tolist() + val.tolist()) == list(range(200))
    labels = module._images["train"].labels_N
    assert torch.bincount(labels[val]).tolist() == [20, 10, 10]
    assert torch.equal(make(val_fraction=0.2)._ids["val"], val)
    assert not torch.equal(make(val_fraction=0.2, seed=1)._ids["val"], val)
    assert torch.equal(make(seed=1)._ids["test"], torch.arange(50))


def test_train_size_does_not_change_validation():
    whole, part = make(), make(train_size=40, test_size=10)
    assert part.sizes == {"train": 40, "val": 20, "test": 10}
    assert torch.equal(whole._ids["val"], part._ids["val"])
    assert set(part._ids["train"].tolist()) <= set(whole._ids["train"].tolist())
    assert torch.bincount(part._images["train"].labels_N[part._ids["train"]]).tolist() == [
        20,
        10,
        10,
    ]


def test_val_fraction_of_zero_gives_no_validation():
    module = make(val_fraction=0)
    assert module.val_dataloader() == []
    assert module.sizes["train"] == 200


def test_folds_validate_each_training_image_once():
    modules = [make(folds=5, fold=fold) for fold in range(5)]
    validated = torch.cat([ids_of(module.val_dataloader()) for module in modules])
    assert sorted(validated.tolist()) == list(range(200))
    for module in modules:
        assert module.sizes == {"train": 160, "val": 40, "test": 50}
        assert module.has_validation
        train, val = module._ids["train"].tolist(), module._ids["val"].tolist()
        assert sorted(train + val) == list(range(200))
        assert module.class_sizes["val"] == [20, 10, 10]
        assert torch.equal(ids_of(module.test_dataloader()), torch.arange(50))


def test_folds_replace_val_fraction():
    module = make(folds=4, fold=1, val_fraction=0, train_size=20)
    assert module.sizes == {"train": 20, "val": 50, "test": 50}
    assert ImageDataModule(Numbers(), folds=4, fold=1, val_fraction=0).has_validation


def test_more_folds_than_images_are_refused():
    with pytest.raises(InputError, match="folds=201: more than the 200 training images; allowed"):
        make(folds=201, fold=0)


def test_an_official_validation_split_replaces_the_held_out_images():
    module = ImageDataModule(WithValidation(), batch_size=16)
    module.setup()
    assert module.source.loaded == ["train", "val", "test"]
    assert module.sizes == {"train": 200, "val": 30, "test": 50}
    assert module.has_validation
    assert module.preprocessing.mean == pytest.approx((99.5 / 255,))  # of the training images
    batches = list(module.val_dataloader())
    assert torch.cat([images[:, 0, 0, 0] for images, _, _ in batches]).tolist() == [*range(60, 90)]
    assert torch.equal(ids_of(module.val_dataloader()), torch.arange(200, 230))
    assert max(ids_of(module.train_dataloader())) < 200
    assert module.class_sizes["val"] == [10, 10, 10]


def test_an_official_validation_split_is_not_used_with_val_fraction_0():
    module = ImageDataModule(WithValidation(), batch_size=16, val_fraction=0)
    module.setup("fit")
    assert module.source.loaded == ["train"]
    assert module.val_dataloader() == []
    assert not module.has_validation


def test_folds_do_not_use_an_official_validation_split():
    module = ImageDataModule(WithValidation(), batch_size=16, folds=2, fold=0)
    module.setup()
    assert module.source.loaded == ["train", "test"]
    assert module.sizes == {"train": 100, "val": 100, "test": 50}
    assert max(ids_of(module.val_dataloader())) < 200


def test_an_official_validation_split_of_another_size_is_refused():
    class Larger(WithValidation):
        def load(self, split):
            images = super().load(split)
            if split != "val":
                return images
            return ResidentImages(images.images_NCHW.repeat(1, 1, 2, 2), images.labels_N)

    with pytest.raises(InputError, match="validation images have 56 pixels, training images 28"):
        ImageDataModule(Larger()).setup()


def test_validation_leaves_an_image_of_each_class_for_training():
    class Few(Numbers):
        def load(self, split):
            images = super().load(split)
            return ResidentImages(images.images_NCHW[:5], torch.tensor([0, 0, 1, 1, 2]))

    module = ImageDataModule(Few(), val_fraction=0.9, batch_size=1)
    module.setup()
    assert module.class_sizes == {"train": [1, 1, 1], "val": [1, 1, 0], "test": [2, 2, 1]}


def test_a_validation_split_that_rounds_to_nothing_is_none():
    module = make(val_fraction=0.002)
    assert module.val_dataloader() == []
    assert not module.has_validation


def test_too_large_subsets_are_refused():
    with pytest.raises(InputError, match="train_size=181: only 180 images available"):
        make(train_size=181)
    with pytest.raises(InputError, match="test_size=51: only 50 images available"):
        make(test_size=51)


def options(**values):
    """The settings of a data module that decide its splits."""
    defaults = {"seed": 0, "val_fraction": 0.2, "folds": None, "fold": None, "assigned": None}
    sizes = {"train_size": None, "test_size": None, "splitting": "stable"}
    return SimpleNamespace(**{**defaults, **sizes, **values})


labelled = st.lists(st.integers(0, 3), min_size=1, max_size=60).map(torch.tensor)


@given(labels=labelled, fraction=st.floats(0, 0.99), by_file=st.booleans())
def test_each_class_keeps_a_training_image(labels, fraction, by_file):
    paths = [f"{i}.png" for i in range(len(labels))] if by_file else None
    in_val = draw_validation(options(val_fraction=fraction), labels, paths)
    assert in_val.dtype == torch.bool
    assert set(labels[~in_val].tolist()) == set(labels.tolist())


@given(labels=labelled, folds=st.integers(2, 5), by_file=st.booleans())
def test_each_image_is_in_one_fold(labels, folds, by_file):
    paths = [f"{i}.png" for i in range(len(labels))] if by_file else None
    drawn = []
    for fold in range(folds):
        data = options(folds=folds, fold=fold)
        if folds > len(labels):
            with pytest.raises(InputError, match=f"folds={folds}: more than the {len(labels)} "):
                draw_validation(data, labels, paths)
            return
        drawn.append(draw_validation(data, labels, paths))
    assert torch.stack(drawn).sum(0).eq(1).all()


def test_a_file_is_drawn_by_its_name_alone():
    labels, paths = torch.zeros(40, dtype=torch.int64), [f"{i}.png" for i in range(40)]
    drawn = draw_validation(options(), labels, paths)
    turned = draw_validation(options(), labels.flip(0), paths[::-1])
    assert torch.equal(turned.flip(0), drawn)
    assert 0 < drawn.sum() < 40


def test_a_record_decides_the_splits_and_drops_unknown_files():
    pixels = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    images = ResidentImages(pixels, torch.zeros(4).long(), ("a", "b", "c", "d"))
    data = options(assigned={"d": "train", "b": "val", "a": "unused train", "c": "test"})
    train, val = training_and_validation(data, images, None)
    assert (train.tolist(), val.tolist()) == ([3], [1])
    assert partition.testing(data, images).tolist() == [2]
    own = ResidentImages(pixels[:1], torch.zeros(1).long(), ("b",))
    _, val = training_and_validation(data, images, own)
    assert val.tolist() == [0]  # the position in the validation images
