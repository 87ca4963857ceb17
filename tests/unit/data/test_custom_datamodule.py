"""Any LightningDataModule with the interface of ours."""

from pathlib import Path

import pytest
import torch
from custom_modules import Halves, OnlyTraining, adapted, pictures
from torch.utils.data import DataLoader, TensorDataset, random_split

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


class Random(Halves):
    """A data module that draws its split and its images without a generator."""

    def prepare_data(self):
        self.prepared = torch.rand(1).item()

    def setup(self, stage):
        if stage == "fit":
            self.train_set, self.val_set = random_split(pictures(44, 0), [32, 12])

    def test_dataloader(self):
        return self._loader(TensorDataset(torch.rand(8, 3, 16, 16), torch.arange(8) % 3))


def random_numbers(seed, noise):
    torch.manual_seed(noise)
    data = CustomDataModule(Random(), {}, seed)
    data.prepare_data()
    data.setup()
    assert torch.initial_seed() == noise
    found = [data.module.prepared, *data.module.val_set.indices]
    return [*found, next(iter(data.test_dataloader()))[0].double().sum().item()]


def test_random_numbers_of_the_hooks_depend_on_the_seed_alone():
    assert random_numbers(seed=1, noise=5) == random_numbers(seed=1, noise=6)
    first, second = random_numbers(seed=1, noise=5), random_numbers(seed=2, noise=5)
    assert first[0] != second[0]
    assert first[1:-1] != second[1:-1]
    assert first[-1] != second[-1]


class Hooked(Halves):
    """A data module with a state, and one that closes its data."""

    def teardown(self, stage):
        self.calls.append(f"teardown {stage}")
        self.train_set = self.val_set = None

    def state_dict(self):
        return {"position": self.position}

    position = 3

    def load_state_dict(self, state):
        self.calls.append(state)

    def on_exception(self, exception):
        self.calls.append(exception)


def test_the_other_hooks_reach_the_module():
    data = CustomDataModule(Hooked(), {})
    data.setup()
    data.teardown("fit")
    assert data.has_validation
    assert data.has_test
    data.setup("test")
    assert len(next(iter(data.train_dataloader()))[0]) == 8
    error = ValueError()
    data.load_state_dict(data.state_dict())
    data.on_exception(error)
    assert data.module.calls == [
        *("fit", "test", "teardown fit", "fit", "test"),
        {"position": 3},
        error,
    ]


def test_the_state_of_another_class_is_not_loaded():
    data = CustomDataModule(Hooked(), {})
    CustomDataModule(Random(), {}).load_state_dict(data.state_dict())
    data.load_state_dict({})
    assert data.module.calls == []


def test_a_state_that_a_checkpoint_cannot_have_is_refused_before_the_training():
    class Odd(Hooked):
        position = Path("x")

    with pytest.raises(InputError, match=r"state_dict of .*Odd: allowed are tensors and plain"):
        CustomDataModule(Odd(), {}).setup()


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
