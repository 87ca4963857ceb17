import typing
from dataclasses import replace

import numpy as np
import pytest
import torch
from numbered_images import Numbers, TrainerStandIn, ids_of, make
from PIL import Image

from vgg_lit.data.augment import Compose, FlipCrop
from vgg_lit.data.balancing import REPEAT
from vgg_lit.data.batches import ResidentBatches, StreamedBatches
from vgg_lit.data.colour import ColourShift
from vgg_lit.data.datamodule import ImageDataModule
from vgg_lit.data.image_folder import ImageFolder
from vgg_lit.data.jitter import ScaleJitter
from vgg_lit.data.mixing import MixUp
from vgg_lit.data.preprocessing import Preprocessing
from vgg_lit.data.sources import ResidentImages, Source
from vgg_lit.data.statistics import ChannelStatistics
from vgg_lit.errors import InputError


def test_loaders_visit_the_images_of_their_splits():
    module = make()
    train = ids_of(module.train_dataloader())
    assert len(train) == 176  # the incomplete batch of 4 is dropped
    assert set(train.tolist()) <= set(module._ids["train"].tolist())
    assert torch.equal(ids_of(module.val_dataloader()), module._ids["val"])
    assert torch.equal(ids_of(module.test_dataloader()), torch.arange(50))


def test_the_sizes_of_classes_are_counted():
    module = make(val_fraction=0.2, test_size=10)
    assert module.class_sizes == {"train": [80, 40, 40], "val": [20, 10, 10], "test": [5, 3, 2]}


@pytest.mark.parametrize("world_size", [1, 2])
def test_balanced_training_shows_classes_equally_often(world_size):
    modules = [
        make(TrainerStandIn(rank, world_size), balanced=True, augment=FlipCrop(), image_size=28)
        for rank in range(world_size)
    ]
    labels = torch.cat([labels for m in modules for _, labels, _ in m.train_dataloader()])
    assert torch.bincount(labels).tolist() == pytest.approx([176 / 3] * 3, abs=3)
    loader = modules[0].train_dataloader()
    first = [ids.tolist() for _, _, ids in loader]
    loader.load_state_dict({"epoch": 0, "batches": 4})
    assert [ids.tolist() for _, _, ids in loader] == first[4:]


def test_a_repeated_image_is_augmented_differently():
    module = make(TrainerStandIn(), balanced=True, augment=FlipCrop(), image_size=28)
    inputs = {}
    for batch in module.train_dataloader():
        xs, _, ids = module.on_after_batch_transfer(batch, 0)
        for x, i in zip(xs, ids.tolist(), strict=True):
            inputs.setdefault(i % REPEAT, []).append(x)
    repeated = [xs for xs in inputs.values() if len(xs) > 1]
    assert len(repeated) > 10
    assert sum(not torch.equal(xs[0], xs[1]) for xs in repeated) > len(repeated) / 2


def test_setup_loads_each_split_once_and_only_if_needed():
    module = make(stage="fit")
    module.setup("fit")
    module.setup("validate")
    assert module.source.loaded == ["train"]
    module.setup("test")
    assert module.source.loaded == ["train", "test"]
    finished = make(stage="test", preprocessing=module.preprocessing)
    assert finished.source.loaded == ["test"]


def test_preprocessing_is_measured_on_the_whole_official_train_split():
    module = make(train_size=20)
    assert module.preprocessing.mean == pytest.approx((99.5 / 255,))
    assert module.preprocessing.source_size == 28
    given = Preprocessing(1, 28, 32, (0.1,), (0.2,))
    assert make(preprocessing=given).preprocessing == given


def test_a_finished_run_keeps_its_statistics_on_images_of_another_size():
    given = Preprocessing(1, 32, 32, (0.1,), (0.2,))
    module = make(stage="test", preprocessing=given, image_size=64)
    assert module.preprocessing == Preprocessing(1, 28, 32, (0.1,), (0.2,))
    x, _, _ = module.on_after_batch_transfer(next(iter(module.test_dataloader())), 0)
    assert x.shape[-2:] == (32, 32)


def test_input_is_padded_and_normalised():
    module = make(TrainerStandIn(training=False), augment=FlipCrop())
    batch = next(iter(module.val_dataloader()))
    x, labels, ids = module.on_after_batch_transfer(batch, 0)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x, module.preprocessing(batch[0]))
    assert torch.equal(labels, batch[1])
    assert torch.equal(ids, batch[2])


def test_training_is_augmented_by_sample_and_epoch():
    module = make(TrainerStandIn(), augment=FlipCrop(), image_size=28)
    loader = module.train_dataloader()

    def inputs(epoch):
        loader.sampler.set_epoch(epoch)
        batches = [module.on_after_batch_transfer(batch, 0) for batch in loader]
        return {i: x for xs, _, ids in batches for x, i in zip(xs, ids.tolist(), strict=True)}

    first, second, again = inputs(0), inputs(1), inputs(0)
    assert all(torch.equal(first[i], again[i]) for i in first)
    both = first.keys() & second.keys()
    assert sum(torch.equal(first[i], second[i]) for i in both) < 0.1 * len(both)
    other = make(TrainerStandIn(), augment=FlipCrop(), image_size=28, batch_size=50)
    for batch in other.train_dataloader():
        xs, _, ids = other.on_after_batch_transfer(batch, 0)
        assert all(
            torch.equal(x, first[i]) for x, i in zip(xs, ids.tolist(), strict=True) if i in first
        )


@pytest.mark.parametrize("normalize", ["mean_std", "mean", "none"])
def test_normalisation_reaches_the_input(normalize):
    module = make(normalize=normalize)
    images, labels, ids = next(iter(module.val_dataloader()))
    x, _, _ = module.on_after_batch_transfer((images, labels, ids), 0)
    levels = images[:, 0, 0, 0] / 255
    mean = 0 if normalize == "none" else 99.5 / 255
    std = torch.arange(200.0).std(correction=0) / 255 if normalize == "mean_std" else 1
    torch.testing.assert_close(x[:, 0, 9, 9], (levels - mean) / std)


def test_augmentation_is_prepared_with_the_training_images():
    class Recorder(FlipCrop):
        received = ()

        def prepare(self, size, statistics):
            self.received = (*self.received, (size, statistics.mean))

    recorder = Recorder()
    make(augment=Compose(recorder=recorder))
    assert recorder.received == ((32, pytest.approx((99.5 / 255,))),)  # padded from 28
    jitter = ScaleJitter(32, min_scale=40)
    with pytest.raises(InputError, match=r"min_scale=40: larger than .* at most 32"):
        make(augment=jitter)
    make(augment=jitter, stage="test", preprocessing=Preprocessing(1, 28, 32, (0.1,), (0.2,)))


def test_a_resumed_run_keeps_the_statistics_of_its_checkpoint():
    module = make(augment=ColourShift())
    state = module.state_dict()
    ids = torch.arange(9)
    images = torch.zeros(9, 1, 28, 28, dtype=torch.uint8)
    first, _, _ = module.to_input((images, ids, ids), 0)

    class Brighter(Numbers):
        def load(self, split):
            images = super().load(split)
            return ResidentImages(images.images_NCHW // 2 + 100, images.labels_N)

    resumed = ImageDataModule(Brighter(), batch_size=16, augment=ColourShift(), normalize="none")
    resumed.setup("fit")
    resumed.load_state_dict(state)
    again, _, _ = resumed.to_input((images, ids, ids), 0)
    # for black images, the normalised input is the shift minus the mean, over the deviation
    shift = first * module.preprocessing.std[0] + module.preprocessing.mean[0]
    assert shift.std() > 0.001
    torch.testing.assert_close(again, shift, atol=1e-6, rtol=0)
    assert resumed.state_dict() == state
    assert ChannelStatistics(**state["statistics"]).mean == module.preprocessing.mean


def test_mixed_training_batches_have_class_probabilities():
    augment = Compose(mixing=MixUp(), flip=FlipCrop(0))
    module = make(TrainerStandIn(), augment=augment)
    images, labels, ids = next(iter(module.train_dataloader()))
    x, targets, _ = module.on_after_batch_transfer((images, labels, ids), 0)
    assert x.shape == (16, 1, 32, 32)
    assert targets.shape == (16, 3)
    assert (targets[torch.arange(16), labels] > 0).all()
    module.trainer.training = False
    _, targets, _ = module.on_after_batch_transfer(next(iter(module.val_dataloader())), 0)
    assert targets.ndim == 1


def test_scale_jitter_crops_large_images_to_the_networks_side():
    module = make(TrainerStandIn(), augment=ScaleJitter(20, 24, 28), image_size=20)
    x, _, _ = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert x.shape == (16, 1, 20, 20)


def test_two_ranks_split_the_batches_of_one():
    whole = list(make().train_dataloader())
    ranks = [list(make(TrainerStandIn(rank, 2)).train_dataloader()) for rank in (0, 1)]
    for (_, _, ids), (_, _, first), (_, _, second) in zip(whole, *ranks, strict=True):
        assert torch.equal(ids, torch.cat([first, second]))
    with pytest.raises(InputError, match=r"batch_size=16.*3 processes"):
        make(TrainerStandIn(0, 3)).train_dataloader()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VGG_LIT_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for i in range(20):
            array = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(array).save(tmp_path / "root" / name / f"{i}.png")
    return tmp_path / "root"


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_streaming_equals_resident(folder, num_workers):
    def batches(in_memory):
        source = ImageFolder(folder, size=8, in_memory=in_memory, num_workers=num_workers)
        module = ImageDataModule(source, image_size=10, batch_size=8, augment=FlipCrop(2))
        module.trainer = TrainerStandIn()
        module.prepare_data()
        module.setup()
        loader = module.train_dataloader()
        assert isinstance(loader, ResidentBatches if in_memory else StreamedBatches)
        for epoch in (0, 3):
            loader.sampler.set_epoch(epoch)
            if epoch == 3:
                loader.load_state_dict({"epoch": 3, "batches": 1})
            yield from (module.on_after_batch_transfer(batch, 0) for batch in loader)
        abandoned = iter(loader)
        next(abandoned)
        yield from loader  # the workers restart
        module.trainer.training = False
        yield from module.val_dataloader()
        yield from module.test_dataloader()

    resident, streamed = list(batches(True)), list(batches(False))
    assert len(resident) > 8
    for expected, actual in zip(resident, streamed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, actual, strict=True))


def test_annotations_resolve():
    assert "source" in typing.get_type_hints(ImageDataModule.__init__)
    assert isinstance(Numbers(), Source)


def test_images_are_named_by_file_or_by_index(folder):
    files = ImageDataModule(ImageFolder(folder, size=8, in_memory=False, num_workers=0))
    files.setup()
    names = files.image_names("test", torch.tensor([1, 0]))
    assert names == list(files._images["test"].paths[1::-1])
    assert (folder / names[0]).is_file()
    module = make(val_fraction=0.2)
    ids = ids_of(module.val_dataloader())
    assert module.image_names("val", ids) == [str(i) for i in ids.tolist()]


def test_files_of_resident_images_are_named(monkeypatch):
    load = Numbers.load

    def load_with_paths(self, split):
        images = load(self, split)
        return replace(
            images, paths=tuple(f"{split}/{i}\n.png" for i in range(len(images.labels_N)))
        )

    monkeypatch.setattr(Numbers, "load", load_with_paths)
    module = make(TrainerStandIn())
    ids = ids_of(module.test_dataloader())
    assert module.image_names("test", ids[:2]) == ["test/0\\n.png", "test/1\\n.png"]
    assert module.image_names("val", torch.tensor([7])) == ["train/7\\n.png"]
