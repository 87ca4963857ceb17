"""Any LightningDataModule with the interface of ours."""

import pytest
import torch
from custom_modules import OnlyTraining, adapted, pictures
from torch.utils.data import DataLoader, TensorDataset

from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.errors import InputError


def test_hooks_are_called_once_and_facts_are_found():
    data = adapted()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert data.module.calls == ["prepare", "fit", "test"]
    assert data.sizes == {"train": 32, "val": 12, "test": 21}
    assert data.classes == ("0", "1", "2")
    assert (data.source.name, data.source.in_channels, data.image_size) == ("Halves", 3, 16)
    assert (data.batch_size, data.batches_per_epoch) == (8, 4)
    assert sum(data.class_sizes["train"]) == 32
    assert "class names" in data.source.facts()["without"]
    assert "class names" not in adapted(classes=["a", "b", "c"]).source.facts()["without"]


@pytest.mark.parametrize("kind", ["pixels", "uint8", "normalised"])
def test_pixels_and_preprocessing_give_the_input_of_training(kind):
    data = adapted(kind, mean=[0.5] * 3, std=[0.25] * 3)
    expected_N = torch.cat([images for images, _ in data.module.test_dataloader()])
    found = list(data.test_dataloader())
    x_NCHW = torch.cat([data.preprocessing(pixels) for pixels, _, _ in found])
    if kind == "uint8":
        expected_N = (expected_N / 255 - 0.5) / 0.25
    torch.testing.assert_close(x_NCHW, expected_N, rtol=0, atol=1e-5)
    assert torch.cat([ids for *_, ids in found]).tolist() == list(range(21))
    (batch,) = data.test_dataloader().at(torch.tensor([13, 2, 13]))
    assert batch[2].tolist() == [13, 2, 13]
    assert torch.equal(batch[0][1], found[0][0][2])


def test_an_unknown_normalisation_is_recorded():
    data = adapted("normalised")
    values = data.preprocessing.to_dict()
    assert values["is_known"] is False
    assert "is_known" not in adapted("pixels").preprocessing.to_dict()
    with pytest.raises(InputError, match=r"set data\.mean and data\.std"):
        data.preprocessing.check_known("run=x")
    with pytest.raises(InputError, match=r"normalisation of the float images of Halves"):
        adapted("normalised", preprocessing=adapted("pixels").preprocessing)


@pytest.mark.parametrize(
    ("kind", "declared", "message"),
    [
        ("mapping", {}, "is a dict"),
        ("float_labels", {}, "labels of float32"),
        ("one_hot", {}, "labels of int64"),
        ("from_one", {}, "labels from 1 to 3; allowed for 3 classes"),
        ("oblong", {}, r"images of float32 \(8, 3, 16, 8\)"),
        ("pixels", {"num_classes": 2}, "labels from 0 to 2; allowed for 2 classes"),
        (
            "pixels",
            {"num_classes": 4, "classes": ["a"]},
            r"data\.num_classes=4: Halves has 1 classes",
        ),
        ("pixels", {"in_channels": 1}, r"data\.in_channels=1: the batches of Halves have 3"),
        ("pixels", {"image_size": 32}, r"data\.image_size=32: the batches of Halves have 16"),
        ("pixels", {"mean": [0.5], "std": [0.5]}, r"data\.mean: has 1 values for 3 channels"),
    ],
)
def test_disagreements_are_one_line(kind, declared, message):
    with pytest.raises(InputError, match=message) as refused:
        adapted(kind, **declared)
    assert "\n" not in str(refused.value)


def test_missing_loaders():
    data = CustomDataModule(OnlyTraining(), {})
    data.setup()
    assert not data.has_validation
    assert not data.has_test
    assert data.val_dataloader() == []
    with pytest.raises(
        InputError, match=r"split=test: OnlyTraining has no test_dataloader; allowed: val"
    ):
        data.test_dataloader()
    assert "test (test_dataloader)" in data.source.facts()["without"]


def test_a_number_of_classes_that_is_not_known_is_asked_for():
    class Bare(OnlyTraining):
        def train_dataloader(self):
            return DataLoader(list(pictures(8, 0)), 4)

    class Several(OnlyTraining):
        def train_dataloader(self):
            return [[1], [2]]

    class Endless(OnlyTraining):
        def train_dataloader(self):
            return iter(TensorDataset(torch.zeros(1)))

    with pytest.raises(InputError, match=r"is not known; set data\.num_classes="):
        CustomDataModule(Bare(), {}).setup()
    with pytest.raises(InputError, match="returns 2 loaders; return one"):
        CustomDataModule(Several(), {}).setup()
    with pytest.raises(InputError, match="has no length"):
        CustomDataModule(Endless(), {}).setup()
