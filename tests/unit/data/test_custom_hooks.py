"""The hooks of a user's data module: their random numbers, their state, and what is called."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from custom_modules import Halves, pictures
from torch.utils.data import Subset, TensorDataset, random_split

from vgg_lit.data.custom_datamodule import CustomDataModule
from vgg_lit.data.user_code import class_name
from vgg_lit.errors import InputError


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


class Odd(Hooked):
    position = Path("x")


def test_a_state_that_a_checkpoint_cannot_have_is_refused_before_the_training():
    data = CustomDataModule(Odd(), {})
    data.setup()  # as an evaluation does, which writes no checkpoint
    with pytest.raises(InputError, match=r"Odd: state_dict\(\)\['position'\] is of type pathlib"):
        data.check_state()


def test_a_state_that_needs_a_trainer_is_checked_by_the_first_checkpoint():
    class OfTrainer(Hooked):
        def state_dict(self):
            return {"epoch": self.trainer.current_epoch}

    data = CustomDataModule(OfTrainer(), {})
    data.setup()
    data.check_state()
    data.trainer = SimpleNamespace(current_epoch=Path("x"))
    with pytest.raises(InputError, match=r"state_dict\(\)\['epoch'\] is of type pathlib"):
        data.state_dict()


def test_what_teardown_removes_is_prepared_again(tmp_path):
    class Files(Halves):
        def prepare_data(self):
            (tmp_path / "prepared").touch()

        def setup(self, stage):
            assert (tmp_path / "prepared").is_file()
            super().setup(stage)

        def teardown(self, stage):
            (tmp_path / "prepared").unlink()

    data = CustomDataModule(Files(), {})
    for stage in ("fit", "test"):
        data.prepare_data()
        data.setup(stage)
        data.teardown(stage)


def test_loaders_of_the_training_depend_on_the_restored_state():
    class Selecting(Random):
        first = 0

        def train_dataloader(self):
            self.calls.append("train")
            return self._loader(Subset(self.train_set, range(self.first, 32)), shuffle=True)

        def state_dict(self):
            return {"first": self.first}

        def load_state_dict(self, state):
            self.first = state["first"]

    loaded = CustomDataModule(Selecting(), {})
    loaded.setup()
    noise = torch.get_rng_state()
    loaded.load_state_dict({"class": class_name(loaded.module), "state": {"first": 16}})
    assert len(loaded.train_dataloader()) == 2
    assert torch.equal(torch.get_rng_state(), noise)
    calls = list(loaded.module.calls)
    loaded.load_state_dict({})  # of a checkpoint without a state
    assert loaded.module.calls == calls
