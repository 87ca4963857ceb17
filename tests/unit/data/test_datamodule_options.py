"""Options of a data module that are out of range or contradict its source."""

import pytest
from numbered_images import Numbers

from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.datamodule_options import check_fold
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.errors import InputError


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("image_size", 0),
        ("batch_size", 0),
        ("val_fraction", 1.0),
        ("val_fraction", -0.1),
        ("train_size", 0),
        ("test_size", 0),
        ("num_classes", 10),
        ("in_channels", 3),
        ("normalize", "std"),
        ("fold", 0),
        ("folds", 1),
        ("folds", 5),
    ],
)
def test_invalid_and_contradictory_options_are_refused(option, value):
    with pytest.raises(InputError, match=f"^{option}={value}"):
        ImageDataModule(Numbers(), **{option: value})


@pytest.mark.parametrize("fold", [-1, 5])
def test_a_fold_outside_the_folds_is_refused(fold):
    with pytest.raises(InputError, match=f"^fold={fold}: allowed for folds=5: 0 to 4$"):
        ImageDataModule(Numbers(), folds=5, fold=fold)


def test_a_preprocessing_with_other_channels_is_refused():
    with pytest.raises(InputError, match="in_channels=3"):
        ImageDataModule(Numbers(), preprocessing=Preprocessing(3, 28, 32, (0.5,) * 3, (0.5,) * 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": float("nan")}, "^val_fraction=nan: must be at least 0 and below 1"),
        ({"splitting": "random"}, "^splitting=random: unknown; allowed: stable, stratified"),
        ({"fit": "cover"}, "^fit=cover: unknown; allowed: crop, pad, stretch"),
        ({"num_classes": 0}, "^num_classes=0: does not match numbers, which has 3"),
        (
            {"fit": "pad", "preprocessing": Preprocessing(1, 28, 32, (0.5,), (0.5,))},
            "^fit=pad: the network was trained with crop",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(list(value)),
)
def test_more_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        ImageDataModule(Numbers(), **options)


def test_the_fit_of_the_source_is_that_of_the_data_module():
    class Padded(Numbers):
        fit = "pad"

    assert ImageDataModule(Padded()).fit == ImageDataModule(Padded(), fit="pad").fit == "pad"
    with pytest.raises(InputError, match=r"^fit=crop: does not match numbers, which has pad$"):
        ImageDataModule(Padded(), fit="crop")


@pytest.mark.parametrize(
    ("fold", "folds", "message"),
    [
        (2, None, r"data\.fold=2: needs data\.folds, the number of folds"),
        (None, 3, r"data\.folds=3: needs data\.fold.* allowed: 0 to 2, .* -m data\.fold=0,1,2$"),
        (0, 1, r"data\.folds=1: must be at least 2, or null"),
        (3, 3, r"data\.fold=3: allowed for data\.folds=3: 0 to 2$"),
    ],
)
def test_a_fold_and_the_folds_are_set_together(fold, folds, message):
    with pytest.raises(InputError, match=message):
        check_fold(fold, folds, "data.")


@pytest.mark.parametrize(("fold", "folds"), [(None, None), (0, 2), (1, 2)])
def test_a_fold_in_its_range_passes(fold, folds):
    check_fold(fold, folds)
